"""Layers with nothing between, as they are told."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from ._layers_planted import one_activation_too_few_in_a_run_that_goes_badly, three_linear_layers
from ._loss_runs import alarms, found, inputs, labels, learn, mlp

CAUSE = "missing-nonlinearity"


def test_a_net_that_is_linear_is_told_with_its_widths() -> None:
    finding = found(three_linear_layers, over=False)[CAUSE]
    assert finding.exact
    assert finding.evidence["widths"] == [3, 8, 8, 4]
    assert finding.layers == ("0", "2", "3")
    assert "3→8→8→4" in finding.title


def test_two_layers_within_a_net_are_named_when_the_run_has_gone_badly() -> None:
    finding = found(one_activation_too_few_in_a_run_that_goes_badly)[CAUSE]
    assert not finding.exact
    assert finding.evidence["layers"] == ["2 → 3", "3 → 4"]
    assert CAUSE not in found(one_activation_too_few_in_a_run_that_goes_badly, over=False)


def test_two_layers_within_a_net_that_learns_are_fine() -> None:
    net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 3))
    x = functional.one_hot(labels(3), 3).float()
    assert (
        alarms(lambda: learn(lambda: functional.cross_entropy(net(x), labels(3)), net, steps=60, lr=0.05))
        == set()
    )


def test_one_layer_and_two_heads_are_fine() -> None:
    single, x = nn.Linear(3, 4), inputs()
    assert alarms(lambda: learn(lambda: functional.cross_entropy(single(x), labels(4)), single)) == set()
    trunk, first, second = mlp(3, 8, 8), nn.Linear(8, 4), nn.Linear(8, 1)

    def step():
        z = trunk(x)
        return functional.cross_entropy(first(z), labels(4)) + functional.mse_loss(second(z), x[:, :1])

    assert alarms(lambda: learn(step, trunk, first, second)) == set()
