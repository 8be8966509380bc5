"""Layers with nothing between, as they are told."""

from __future__ import annotations

from itertools import pairwise

import torch
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


def test_three_layers_in_a_row_within_a_net_that_learns_are_named() -> None:
    net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), *_row(16, 16, 16, 3))
    x = functional.one_hot(labels(3), 3).float()
    program = lambda: learn(lambda: functional.cross_entropy(net(x), labels(3)), net, steps=60, lr=0.05)  # noqa: E731
    assert found(program)[CAUSE].severity == "warning"


def _row(*widths: int) -> list[nn.Module]:
    return [nn.Linear(a, b) for a, b in pairwise(widths)]


def test_a_linear_code_of_two_layers_is_fine_and_of_four_is_not() -> None:
    x = inputs(8)
    short, deep = nn.Sequential(*_row(8, 2, 8)), nn.Sequential(*_row(8, 6, 2, 6, 8))
    assert CAUSE not in alarms(lambda: learn(lambda: functional.mse_loss(short(x), x), short, steps=30))
    finding = found(lambda: learn(lambda: functional.mse_loss(deep(x), x), deep, steps=30))[CAUSE]
    assert "two layers could not" in finding.effect


def test_a_bias_that_is_added_by_hand_is_no_nonlinearity() -> None:
    x = inputs()
    first, second = torch.randn(3, 8, requires_grad=True), torch.randn(8, 4, requires_grad=True)
    bias, each = torch.zeros(8, requires_grad=True), torch.zeros(len(x), 8, requires_grad=True)
    plain = lambda: functional.cross_entropy((x @ first + bias) @ second, labels(4))  # noqa: E731
    placed = lambda: functional.cross_entropy((x @ first + each) @ second, labels(4))  # noqa: E731
    assert CAUSE in found(lambda: learn(plain, first, bias, second), over=False)
    assert CAUSE not in found(lambda: learn(placed, first, each, second), over=False)
