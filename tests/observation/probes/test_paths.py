"""The way of the weights: distance from where they began, direction and slope from look to look."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.observation.probes import Updates
from preceptor.observation.probes._paths import Path, cosine, kept


def _flat(model: nn.Module, what: str = "data") -> torch.Tensor:
    return torch.cat([getattr(p, what).detach().double().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_distance_direction_and_slope_are_those_of_the_definitions(stage: Any, kind: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    told = stage(model, [Updates()])
    optimizer = kind(model.parameters(), lr=0.05)
    x, y = torch.randn(32, 6), torch.randint(3, (32,))
    begun = {name: p.detach().clone() for name, p in model.named_parameters()}
    weights, gradients = [_flat(model)], []
    for _ in range(4):
        told.train(optimizer, x, y)
        gradients.append(_flat(model, "grad"))
        weights.append(_flat(model))
    for name, parameter in model.named_parameters():
        assert told.last("distance", name) == pytest.approx(
            float((parameter.detach() - begun[name]).norm()), rel=1e-4
        )
    updates = [b - a for a, b in pairwise(weights)]
    cos = torch.nn.functional.cosine_similarity(updates[-1], updates[-2], dim=0)
    assert told.last("update_cosine", "0") == pytest.approx(float(cos), rel=1e-4)
    moved = weights[3] - weights[2]
    left = (gradients[3] @ moved) / (gradients[2] @ moved)
    assert told.last("slope_kept", "0") == pytest.approx(float(left), rel=1e-3)
    assert len(told.record.signal("update_cosine", subject="0")) == 3, "there is none before the first look"


def test_a_quadratic_keeps_one_less_rate_times_curvature(stage: Any) -> None:
    model = nn.Linear(1, 1, bias=False)
    told = stage(model, [Updates()])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    for _ in range(2):
        told.begin()
        optimizer.zero_grad()
        told.backward(told.forward(torch.ones(1, 1)).square().sum())  # curvature 2
        told.optimize(optimizer)
        told.finish()
    assert told.last("slope_kept", "0") == pytest.approx(0.5)


def test_what_has_no_gradient_has_a_distance_and_no_slope(stage: Any) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"used": nn.Linear(3, 3), "unused": nn.Linear(3, 3)})
    model.forward = lambda x: model["used"](x)
    told = stage(model, [Updates()])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        told.train(optimizer, torch.randn(8, 3), torch.randint(3, (8,)))
    assert told.last("distance", "unused.weight") == 0
    assert told.last("distance", "used.weight") > 0
    assert "slope_kept" not in told.record.names
    assert "update_cosine" in told.record.names


def test_weights_that_do_not_move_have_no_direction(stage: Any) -> None:
    model = nn.Linear(3, 3)
    told = stage(model, [Updates()])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(3):
        told.train(optimizer, torch.randn(8, 3), torch.randint(3, (8,)))
    assert told.last("distance", "weight") == 0
    assert "update_cosine" not in told.record.names


def test_too_much_is_not_kept() -> None:
    assert Path.begun(torch.zeros(1).expand(1 << 20), torch.zeros(1), None) is None


def test_products_without_a_direction() -> None:
    assert cosine([1.0, 0.0, 1.0]) is None
    assert cosine([float("nan"), 1.0, 1.0]) is None
    assert cosine([2.0, 1.0, 1.0]) == 1.0, "rounding cannot lead beyond 1"
    assert kept([1.0, 1.0, 1.0]) is None
    assert kept([1.0, 1.0, 1.0, 1.0, 1.0]) is None, "not a way down"
    assert kept([1.0, 1.0, 1.0, -1.0, -2.0]) == 0.5
