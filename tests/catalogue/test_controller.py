"""The controller of the learning rate: each rule, its reason, and cuts that came too early."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.schedules.controlled import Controller


def after(*values: float, **options: object) -> Controller:
    optimizer = get("sgd", [torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule: Controller = get("controller", **{"patience": 3, **options})(
        optimizer, total_steps=1, steps_per_epoch=1
    )
    for value in values:
        optimizer.step()
        schedule.step(value)
    return schedule


@pytest.mark.parametrize(
    ("values", "rate", "reason"),
    [
        ((3.0, 2.0, 2.5), 0.5, "the error rises"),
        ((3.0, float("nan")), 0.5, "the value is not finite"),
        ((3.0, 2.9, 3.0, 2.9), 0.5, "the error oscillates"),
        ((3.0, 3.0, 3.0, 3.0), 0.1, "the error has stopped falling"),
        ((3.0, 2.99, 2.98, 2.97), 1.5, "the error falls consistently, but slowly"),
    ],
)
def test_rules(values: tuple[float, ...], rate: float, reason: str) -> None:
    schedule = after(*values)
    assert schedule.get_last_lr() == [pytest.approx(rate)]
    assert [entry["reason"] for entry in schedule.log] == [reason]
    assert schedule.log[0]["before"] == 1.0
    assert schedule.log[0]["epoch"] == len(values)


def test_what_goes_well_is_left_alone() -> None:
    assert after(3.0, 2.0, 1.5, 1.1, 0.8, 0.6).log == []
    assert after(0.5, 0.6, 0.7, 0.8, mode="max").log == []


def test_a_rate_that_was_too_high_is_not_tried_again() -> None:
    slowly = [2.0 - 0.005 * i for i in range(12)]
    schedule = after(3.0, 2.0, 2.5, *slowly)
    assert [entry["reason"].split()[-1] for entry in schedule.log] == ["rises", "slowly"]
    assert schedule.get_last_lr()[0] < 1.0


def test_a_cut_that_came_too_early_is_marked() -> None:
    early = after(4.0, 3.0, 2.0, float("inf"), 2.0, 1.99, 1.98)
    assert not any(entry.get("premature") for entry in early.log)  # it was not finite: no cut too early
    falling = after(4.0, 3.5, 3.0, 3.4, 3.3, 3.29, 3.28, patience=8)
    assert falling.log[0]["reason"] == "the error rises"
    assert falling.log[0].get("premature")
    helped = after(3.0, 2.9, 3.3, 2.0, 1.5, 1.0)
    assert not helped.log[0].get("premature")


def test_in_a_training(tmp_path: Path) -> None:
    run = preceptor.train(
        "linear",
        "iris",
        lr=1e-4,
        epochs=6,
        schedule={"name": "controller", "patience": 2},
        out=tmp_path / "run",
        settings={"training.watch": False},
    )
    assert run.folder is not None
    assert run.folder.manifest["rates"][0]["reason"] == "the error falls consistently, but slowly"
    rates = run.history[:, "lr"]
    assert rates[-1] > rates[0]
    assert run.experiment.schedule.name == "controller"
