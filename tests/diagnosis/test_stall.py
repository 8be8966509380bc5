"""Stalls with a planted reason are told apart; what moves, or has arrived, is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.stall import STALLS, flat_stretch, stall
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _case(
    model: nn.Module,
    rate: float = 0.1,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    momentum: float = 0.0,
    steps: int = 150,
    batch: int = 64,
    schedule: Any = None,
) -> Case:
    torch.manual_seed(1)
    x = torch.randn(256, 4)
    y = (x[:, :1] * x[:, 1:2] > 0).float()
    loss = loss or (lambda output, target: functional.binary_cross_entropy_with_logits(output, target))
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
        plan = schedule(optimizer) if schedule else None
        for _ in range(steps):
            chosen = slice(None) if batch >= 256 else torch.randint(256, (batch,))
            optimizer.zero_grad()
            loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            if plan is not None:
                plan.step()
    return Case(watch.observed)


def _net(activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), activation(), nn.Linear(16, 1))


def _first(case: Case) -> str:
    found = stall(case)
    assert found, "no stall was found"
    assert all(set(one.causes) <= set(CAUSES) and one.kind in STALLS for one in found)
    return found[0].kind


@pytest.mark.slow
def test_no_gradient() -> None:
    model = nn.Sequential(_net(), nn.Softmax(1))
    assert _first(_case(model, loss=lambda p, y: functional.mse_loss(p, y))) == "missing gradient"


@pytest.mark.slow
def test_dead_units() -> None:
    model = _net(nn.ReLU)
    with torch.no_grad():
        model[0].bias.fill_(-50.0)
        model[2].bias.fill_(0.0)
    (found,) = [one for one in stall(_case(model)) if one.kind == "dead units"]
    assert found.layers == ("1",)
    assert "100%" in found.evidence[0]


@pytest.mark.slow
def test_saturated_units() -> None:
    model = _net()
    with torch.no_grad():
        model[0].weight.mul_(200.0)
        model[2].weight.fill_(1e-3)
    model[2].requires_grad_(False)
    found = stall(_case(nn.Sequential(*model, nn.Tanh(), nn.Linear(1, 1)), rate=1e-3))
    assert "saturated units" in {one.kind for one in found}


@pytest.mark.slow
def test_symmetry() -> None:
    model = _net()
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.0)
        nn.init.zeros_(layer.bias)
    assert "symmetry" in {one.kind for one in stall(_case(model, batch=256))}


@pytest.mark.slow
def test_a_schedule_that_has_run_down() -> None:
    case = _case(_net(), schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5))
    assert _first(case) == "rate near zero"


@pytest.mark.slow
def test_a_plateau() -> None:
    model = _net()
    found = stall(_case(model, rate=1e-4, batch=256))
    assert found[0].kind == "plateau"
    assert "direction" in found[0].evidence[1]


def test_a_saddle_that_is_being_left() -> None:
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1, bias=False))
    torch.manual_seed(0)
    for layer in model:
        nn.init.normal_(layer.weight, std=1e-3)
    x = torch.randn(256, 4)
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        for _ in range(90):
            optimizer.zero_grad()
            functional.mse_loss(model(x), x[:, :1]).backward()
            optimizer.step()
    assert _first(Case(watch.observed)) == "saddle"


@pytest.mark.slow
def test_a_noise_floor() -> None:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, torch.randn_like(target))

    found = {one.kind for one in stall(_case(_net(), rate=0.1, loss=loss, batch=8, steps=300))}
    assert "noise floor" in found


@pytest.mark.slow
def test_what_learns_does_not_stall() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 1))
    assert stall(_case(model, rate=0.5, momentum=0.9, steps=300, batch=256)) == []
    assert stall(Case(Observed(Record(), Protocol()))) == []


@pytest.mark.parametrize("seed", range(5))
def test_flat_stretches(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.02, 400)
    steps = np.arange(400)
    assert flat_stretch(Curve(steps, 1 - steps / 400 + noise)) is None
    whole = flat_stretch(Curve(steps, 1 + noise))
    assert whole is not None
    assert len(whole) == 400
    late = flat_stretch(Curve(steps, np.maximum(1 - steps / 100, 0.2) + noise))
    assert late is not None
    assert 80 <= int(late.steps[0]) <= 300


@pytest.mark.slow
def test_it_can_be_written_as_json() -> None:
    (one, *_) = stall(_case(_net(), rate=1e-4, batch=256))
    assert one.to_plain()["meaning"] == STALLS[one.kind]
