"""Scores of classes, as they are told."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ._loss_runs import alarms, found, inputs, labels, learn, mlp
from ._losses_planted import (
    logarithm_of_sigmoid_into_nll,
    relu_before_a_sigmoid,
    shares_of_rectified_scores,
    shares_of_sigmoids,
    tanh_before_cross_entropy,
)

CAUSE = "unsuitable-output-activation"


def test_the_floor_of_bounded_scores_is_told() -> None:
    finding = found(tanh_before_cross_entropy, over=False)[CAUSE]
    assert finding.effect == "the loss cannot fall below 0.34"  # ln(1 + 3 e⁻²)
    assert finding.evidence["range of the scores"] == [-1, 1]
    assert "0.69" in found(relu_before_a_sigmoid)[CAUSE].effect


def test_what_is_lost_by_shares_depends_on_the_scores() -> None:
    assert found(shares_of_sigmoids)[CAUSE].severity == "warning"
    assert found(shares_of_rectified_scores)[CAUSE].severity == "critical"


def test_scores_that_do_not_compete() -> None:
    assert "falls to 0" in found(logarithm_of_sigmoid_into_nll)[CAUSE].effect


@pytest.mark.parametrize("act", [nn.Softplus(), nn.Softmax(dim=1)])
def test_shares_of_what_is_positive_are_fine(act: nn.Module) -> None:
    net, x = mlp(3, 8, 4, out=act), inputs()

    def step() -> torch.Tensor:
        p = net(x)
        return functional.nll_loss(torch.log((p / p.sum(dim=1, keepdim=True)).clamp(1e-7, 1)), labels(4))

    assert alarms(lambda: learn(step, net)) == set()


def test_wide_bounds_cost_nothing() -> None:
    net, x = mlp(3, 8, 4), inputs()
    assert (
        alarms(lambda: learn(lambda: functional.cross_entropy(net(x).clamp(-10, 10), labels(4)), net))
        == set()
    )
    assert (
        alarms(lambda: learn(lambda: functional.cross_entropy(10 * net(x).tanh(), labels(4)), net)) == set()
    )


def test_a_rectified_score_is_fine_where_the_run_goes_well() -> None:
    net, x = mlp(3, 16, 3, out=nn.ReLU()), functional.one_hot(labels(3), 3).float()
    nn.init.constant_(net[2].bias, 1.0)
    assert (
        alarms(lambda: learn(lambda: functional.cross_entropy(net(x), labels(3)), net, steps=80, lr=0.05))
        == set()
    )
