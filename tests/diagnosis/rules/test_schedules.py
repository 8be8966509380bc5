"""Schedules: planted mistakes, and what only looks like them."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler as schedule
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.diagnosis.rules import schedules

from ._families import ALL
from ._judge import alarms, findings

EPOCHS, BATCHES = 6, 24
X = torch.randn(16 * BATCHES, 12, generator=torch.Generator().manual_seed(0))
Y = (X[:, :3].sum(1) > 0).long() + 2 * (X[:, 3:6].sum(1) > 0).long()


def run(build, *, per: str = "epoch", lr: float = 0.05, kind=torch.optim.SGD, first: bool = False, y=Y):
    """Train with a schedule that is called once per epoch or per batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))
    loader = DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)
    with preceptor.watch(level="full") as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of some of these orders
        optimizer = kind(model.parameters(), lr=lr)
        plan = build(optimizer)
        for _ in range(EPOCHS):
            if first:
                plan.step()
            total = 0.0
            for inputs, labels in loader:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(inputs), labels)
                loss.backward()
                optimizer.step()
                total += loss.item()
                if per == "batch":
                    plan.step(loss.item()) if isinstance(plan, schedule.ReduceLROnPlateau) else plan.step()
            if per == "epoch" and not first:
                plan.step(total) if isinstance(plan, schedule.ReduceLROnPlateau) else plan.step()
    return watch.observed


def with_a_warm_up(optimizer):
    rise = schedule.LinearLR(optimizer, 0.1, total_iters=10)
    return schedule.SequentialLR(
        optimizer, [rise, schedule.CosineAnnealingLR(optimizer, EPOCHS * BATCHES - 10)], milestones=[10]
    )


SOUND = {
    "steps": (lambda o: schedule.StepLR(o, 2, 0.3), "epoch"),
    "milestones": (lambda o: schedule.MultiStepLR(o, [3, 5], 0.1), "epoch"),
    "cosine per epoch": (lambda o: schedule.CosineAnnealingLR(o, EPOCHS), "epoch"),
    "cosine per batch": (lambda o: schedule.CosineAnnealingLR(o, EPOCHS * BATCHES), "batch"),
    "exponential": (lambda o: schedule.ExponentialLR(o, 0.7), "epoch"),
    "exponential per batch": (lambda o: schedule.ExponentialLR(o, 0.98), "batch"),
    "plateau": (lambda o: schedule.ReduceLROnPlateau(o, patience=1), "epoch"),
    "one cycle": (lambda o: schedule.OneCycleLR(o, 0.2, total_steps=EPOCHS * BATCHES), "batch"),
    "warm restarts": (lambda o: schedule.CosineAnnealingWarmRestarts(o, 8), "batch"),
    "cyclic": (lambda o: schedule.CyclicLR(o, 0.01, 0.1, step_size_up=6), "batch"),
    "warm-up, then cosine": (with_a_warm_up, "batch"),
    "warm-up alone": (lambda o: schedule.LinearLR(o, 0.01, total_iters=12), "batch"),
    "constant": (lambda o: schedule.LambdaLR(o, lambda _: 1.0), "epoch"),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_schedule(name) -> None:
    build, per = SOUND[name]
    seen = run(build, per=per)
    assert alarms(seen, *ALL) == set()
    assert alarms(seen, *ALL, over=False) == set()


GONE = {
    "steps": lambda o: schedule.StepLR(o, 3, 0.1),
    "milestones": lambda o: schedule.MultiStepLR(o, [2, 4, 5], 0.1),
    "exponential": lambda o: schedule.ExponentialLR(o, 0.7),
}


@pytest.mark.parametrize("name", GONE)
def test_a_schedule_that_is_called_per_batch(name) -> None:
    told = findings(run(GONE[name], per="batch"), *ALL)
    assert set(told) == {"scheduler-misuse"}
    assert told["scheduler-misuse"].severity in ("warning", "critical")
    assert "after every batch" in told["scheduler-misuse"].title
    assert told["scheduler-misuse"].where.startswith("test_schedules.py:")


def test_a_rate_that_is_gone_after_the_task_is_learned() -> None:
    def build(optimizer):
        return schedule.MultiStepLR(optimizer, [60, 66], 0.05)

    easy = (X[:, 0] > 0).long()
    assert alarms(run(build, per="batch", kind=torch.optim.Adam, y=easy), *ALL) == set()


def test_a_cosine_that_swings_within_each_epoch() -> None:
    told = findings(run(lambda o: schedule.CosineAnnealingLR(o, EPOCHS), per="batch"), *ALL)
    assert set(told) == {"scheduler-misuse"}
    assert told["scheduler-misuse"].exact


def test_one_cycle_that_is_called_per_epoch() -> None:
    told = findings(run(lambda o: schedule.OneCycleLR(o, 0.2, total_steps=EPOCHS * BATCHES)), schedules)
    assert set(told) == {"scheduler-misuse"}
    assert "never leaves its warm-up" in told["scheduler-misuse"].title


def test_a_rate_that_rises_until_the_run_breaks() -> None:
    seen = run(lambda o: schedule.ExponentialLR(o, 1.08), per="batch", lr=0.01)
    assert alarms(seen, schedules) == {"scheduler-misuse"}


def test_a_schedule_before_the_optimizer_is_only_told() -> None:
    told = findings(run(lambda o: schedule.StepLR(o, 3, 0.3), first=True), *ALL)
    assert {cause: finding.severity for cause, finding in told.items()} == {"scheduler-misuse": "info"}
