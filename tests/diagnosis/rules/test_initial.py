"""Initial weights, as they are told."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ._layers_planted import constant_weights, tiny_weights, unit_normal_in_wide_layers
from ._loss_runs import alarms, found, inputs, labels, learn, mlp

CAUSE = "bad-initialization"


def test_identical_units_are_told_with_their_value() -> None:
    finding = found(constant_weights, over=False)[CAUSE]
    assert finding.exact
    assert finding.severity == "critical"
    assert finding.evidence["value"] == pytest.approx(0.1)
    assert finding.layers == ("0", "2", "4")


def test_differing_biases_or_dropout_make_it_less_sure() -> None:
    net, x = mlp(3, 8, 8, 1), inputs()
    for layer in (net[0], net[2], net[4]):
        nn.init.constant_(layer.weight, 0.1)
    finding = found(lambda: learn(lambda: functional.mse_loss(net(x), x[:, :1]), net))[CAUSE]
    assert not finding.exact


def test_a_constant_layer_before_a_random_one_is_fine() -> None:
    net, x = mlp(3, 8, 8, 1), inputs()
    nn.init.constant_(net[0].weight, 0.1)
    assert CAUSE not in alarms(lambda: learn(lambda: functional.mse_loss(net(x), x[:, :1]), net))


def test_sizes_are_told_against_the_width() -> None:
    large = found(unit_normal_in_wide_layers)[CAUSE]
    assert large.evidence["gains √(fan_in · mean w²)"]["2"] == pytest.approx(8, rel=0.1)
    assert large.evidence["first loss"] > 3 * large.evidence["loss of the best constant answer"]
    small = found(tiny_weights)[CAUSE]
    assert small.evidence["product of the gains"] < 1e-3
    assert not small.exact


def test_small_weights_of_a_run_that_learns_are_fine() -> None:
    net, x = mlp(3, 16, 3), functional.one_hot(labels(3), 3).float()
    for layer in (net[0], net[2]):
        nn.init.normal_(layer.weight, std=0.02)
    assert (
        alarms(lambda: learn(lambda: functional.cross_entropy(net(x), labels(3)), net, steps=80, lr=0.05))
        == set()
    )


@pytest.mark.parametrize("norm", [nn.LayerNorm(64), nn.BatchNorm1d(64)])
def test_large_weights_before_normalisation_are_fine(norm: nn.Module) -> None:
    net, x = nn.Sequential(nn.Linear(64, 64), norm, nn.ReLU(), nn.Linear(64, 4)), inputs(64)
    nn.init.normal_(net[0].weight)
    sgd = torch.optim.SGD
    program = lambda: learn(lambda: functional.cross_entropy(net(x), labels(4)), net, lr=1e-6, kind=sgd)  # noqa: E731
    assert alarms(program) == set()
