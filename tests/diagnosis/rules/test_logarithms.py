"""Logarithms of bare probabilities, as they are told."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._layers_planted import sure_answers_in_a_binary_loss_by_hand
from ._loss_runs import alarms, found, inputs, learn, mlp, yes_no

CAUSE = "numeric-instability"


def binary(p: Tensor, y: Tensor) -> Tensor:
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def test_the_edge_and_how_near_it_is_are_told() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid())
    nn.init.ones_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    x = torch.linspace(-12, 12, 24)[:, None]
    finding = found(lambda: learn(lambda: binary(net(x), yes_no(x)), net, lr=1e-6))[CAUSE]
    assert finding.severity == "warning"
    assert finding.evidence["operator"] == "ln(1 − sigmoid)"
    assert finding.evidence["scores beyond which it is −∞"] == 16.6
    assert finding.evidence["largest score seen"] == 12.0
    assert "with_logits" in finding.remedy


def test_answers_that_are_too_sure_break_the_loss() -> None:
    assert found(sure_answers_in_a_binary_loss_by_hand)[CAUSE].severity == "critical"


def test_scores_far_from_the_edge_are_fine() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), inputs()
    assert alarms(lambda: learn(lambda: binary(net(x), yes_no(x)), net, steps=20)) == set()


def test_a_guard_or_double_precision_is_fine() -> None:
    net, x = mlp(3, 8, 1, out=nn.Sigmoid()), 20 * inputs()
    guarded = lambda: binary(net(x).clamp(1e-6, 1 - 1e-6), yes_no(x))  # noqa: E731
    assert CAUSE not in alarms(lambda: learn(guarded, net, steps=40, lr=0.1))
    fine, y = mlp(3, 8, 1, out=nn.Sigmoid()).double(), inputs().double()
    assert CAUSE not in alarms(lambda: learn(lambda: binary(fine(y), yes_no(y).double()), fine, steps=20))
