"""Learning rates that are too high or too low, and healthy trainings that look a little like it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rules.overshooting import blown_up, rate_too_high
from preceptor.diagnosis.rules.rates import clipped_too_short, rate_too_low
from preceptor.observation.observed import Observed
from preceptor.observation.protocol import Protocol
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _clusters(size: int = 256) -> tuple[Tensor, Tensor]:
    labels = torch.arange(size) % 3
    return torch.randn(3, 6)[labels] * 2 + torch.randn(size, 6), labels


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))


def _train(
    make: Any, steps: int = 300, batch: int = 64, seed: int = 0, schedule: Any = None, clip: float = 0.0
) -> Case:
    torch.manual_seed(seed)
    x, y = _clusters()
    model = _net()
    optimizer = make(model.parameters())
    plan = schedule(optimizer) if schedule else None
    with Watch(budget=1.0) as watch:
        for _ in range(steps):
            chosen = torch.randint(len(x), (batch,))
            optimizer.zero_grad()
            functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if plan is not None:
                plan.step()
    return Case(watch.observed)


def _found(case: Case) -> list[Finding]:
    rules: list[Iterator[Finding]] = [blown_up(case), rate_too_high(case), rate_too_low(case)]
    return [finding for rule in rules for finding in rule]


# ---------------------------------------------------------------------- too high


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sgd_that_overshoots(seed: int) -> None:
    (finding,) = _found(_train(lambda p: torch.optim.SGD(p, lr=20.0, momentum=0.9), seed=seed))
    assert finding.cause == "learning-rate-too-high"
    assert finding.severity == "critical"
    assert finding.where.startswith("test_rates.py:")
    assert finding.evidence["learning rate"] == 20.0


def test_a_loss_that_blows_up() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    y = x @ torch.randn(4, 1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=3.0)
    with Watch(budget=1.0) as watch:
        for _ in range(60):
            optimizer.zero_grad()
            functional.mse_loss(model(x), y).backward()
            optimizer.step()
    (finding,) = _found(Case(watch.observed))
    assert finding.cause == "learning-rate-too-high"
    assert "not finite" in finding.title
    assert finding.steps[0] > 0


def test_invalid_data_are_not_blamed_on_the_rate() -> None:
    torch.manual_seed(0)
    model = _net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.full((8, 6), math.nan)
    with Watch(budget=1.0) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), torch.zeros(8, dtype=torch.long)).backward()
            optimizer.step()
    assert _found(Case(watch.observed)) == []


# ---------------------------------------------------------------------- too low


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=1e-5),
        lambda p: torch.optim.SGD(p, lr=1e-6, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=1e-7),
        lambda p: torch.optim.RMSprop(p, lr=1e-7),
    ],
    ids=["sgd", "momentum", "adam", "rmsprop"],
)
def test_steps_that_lead_nowhere(make: Any) -> None:
    (finding,) = _found(_train(make))
    assert finding.cause == "learning-rate-too-low"
    assert finding.severity == "warning"
    assert "usual for it" in finding.evidence


def test_a_straight_fall_far_from_the_goal() -> None:
    torch.manual_seed(0)
    x = torch.linspace(1, 2, 64)[:, None]
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    with Watch(budget=1.0) as watch:
        for _ in range(300):
            optimizer.zero_grad()
            functional.mse_loss(model(x), 5 * x).backward()
            optimizer.step()
    (finding,) = _found(Case(watch.observed))
    assert finding.cause == "learning-rate-too-low"
    assert finding.evidence["slope kept along the way"] > 0.9


# ---------------------------------------------------------------------- healthy


@pytest.mark.parametrize(
    ("make", "schedule"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), None),
        (lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), None),
        (lambda p: torch.optim.Adam(p, lr=3e-3), None),
        (
            lambda p: torch.optim.AdamW(p, lr=1e-2),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1e-2, 300),
        ),
        (lambda p: torch.optim.Adagrad(p, lr=0.05), None),
        (lambda p: torch.optim.RMSprop(p, lr=1e-3), None),
    ],
    ids=["sgd", "momentum", "adam", "one cycle", "adagrad", "rmsprop"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_sound_rates_are_silent(make: Any, schedule: Any, seed: int) -> None:
    assert _found(_train(make, schedule=schedule, seed=seed)) == []


def test_fine_tuning_by_tiny_steps_is_silent() -> None:
    torch.manual_seed(0)
    x, y = _clusters()
    model = _net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    with Watch(budget=1.0) as watch:
        for _ in range(150):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert _found(Case(watch.observed)) == []


def test_a_reward_that_is_noise_is_silent() -> None:
    torch.manual_seed(0)
    model = _net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    with Watch(budget=1.0) as watch:
        for _ in range(150):
            choice = torch.distributions.Categorical(logits=model(torch.randn(32, 6)))
            action = choice.sample()
            optimizer.zero_grad()
            (-(choice.log_prob(action) * torch.randn(32)).mean()).backward()
            optimizer.step()
    assert _found(Case(watch.observed)) == []


def test_players_that_take_turns_are_silent() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizers = [torch.optim.SGD(net.parameters(), lr=1e-7) for net in (first, second)]
    with Watch(budget=1.0) as watch:
        for _ in range(120):
            for net, optimizer in zip((first, second), optimizers, strict=True):
                optimizer.zero_grad()
                loss = functional.binary_cross_entropy_with_logits(net(torch.randn(16, 2)), torch.ones(16, 1))
                loss.backward()
                optimizer.step()
    assert _found(Case(watch.observed)) == []


def test_weights_that_never_move_are_somebody_elses_matter() -> None:
    torch.manual_seed(0)
    x, y = _clusters()
    model = _net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Watch(budget=1.0) as watch:
        for _ in range(120):
            optimizer.zero_grad()
            (functional.cross_entropy(model(x), y) * 0).backward()
            optimizer.step()
    assert _found(Case(watch.observed)) == []


def test_nothing_is_said_of_nothing() -> None:
    assert _found(Case(Observed(Record(), Protocol()))) == []
    record = Record()
    for step in range(30):
        record.add("loss", step, 1.0, "train")
    assert _found(Case(Observed(record, Protocol(), steps={"train": 30}))) == []


# ---------------------------------------------------------------------- clipped steps


def _sgd(lr: float) -> Any:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def test_clipping_that_holds_every_step_back() -> None:
    case = _train(_sgd(0.02), clip=1e-3)
    (finding,) = clipped_too_short(case)
    assert finding.cause == "clipping-too-tight"
    assert finding.severity == "warning"
    assert finding.where.startswith("test_rates.py:")
    assert finding.evidence["norm before clipping"] > 10 * finding.evidence["after"]
    assert not list(rate_too_low(case))


@pytest.mark.parametrize("clip", [0.0, 0.1, 1.0])
def test_clipping_that_leaves_room(clip: float) -> None:
    assert not list(clipped_too_short(_train(_sgd(0.02), clip=clip)))


def test_clipping_that_the_method_divides_out_again() -> None:
    assert not list(clipped_too_short(_train(lambda p: torch.optim.Adam(p, lr=1e-4), clip=1e-3)))


def test_a_rate_far_beyond_all_that_is_usual() -> None:
    torch.manual_seed(0)
    x, y = _clusters()
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=30.0)
        for _ in range(120):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    found = [f for rule in (blown_up, rate_too_high) for f in rule(Case(watch.observed))]
    assert {finding.cause for finding in found} == {"learning-rate-too-high"}
