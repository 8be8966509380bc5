"""Schedules by name in a training: tables, cycles and their snapshots, the effective rate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.catalogue import find
from preceptor.training import Callback, State
from preceptor.training.rates import EffectiveRate


def train(schedule: Any, epochs: int = 6, out: Any = False, **rest: Any) -> preceptor.Run:
    settings = {"training.watch": False, "training.patience": None, **rest.pop("settings", {})}
    return preceptor.train(
        "linear", "iris", schedule=schedule, epochs=epochs, out=out, settings=settings,
        val=0, test=0, batch_size=50, **rest,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [e.name for e in find(kind="schedule")])
def test_a_run_under_every_schedule_is_resumed_to_the_bit(name: str, tmp_path: Any) -> None:
    whole = train(name, out=tmp_path / "whole", optimizer="sgd")
    train(name, epochs=6, out=tmp_path / "half", optimizer="sgd", callbacks=[_Stop()])
    half = train(name, out=tmp_path / "half", optimizer="sgd", resume=True)
    assert half.history.without("seconds") == whole.history.without("seconds")
    for a, b in zip(whole.model.parameters(), half.model.parameters(), strict=True):
        assert torch.equal(a, b)


class _Stop(Callback):
    def on_batch_end(self, state: State) -> None:
        state.stop = "interrupted" if state.step == 8 else None


@pytest.mark.parametrize("rates", [[[0, 0.1], [2, 0.03], [4, 0.5]], {"0": 0.1, "2": 0.03, "4": 0.5}])
def test_a_table_of_rates(rates: Any, tmp_path: Any) -> None:
    run = train({"name": "manual", "rates": rates}, optimizer="sgd", out=tmp_path / "run")
    assert run.history[:, "lr"] == pytest.approx([0.1, 0.1, 0.03, 0.03, 0.5, 0.5])
    again = preceptor.Experiment.read(tmp_path / "run" / "experiment.toml")
    assert again == run.experiment


def test_a_snapshot_at_the_end_of_each_cycle() -> None:
    rates: list[float] = []

    class Note(Callback):
        def on_batch_end(self, state: State) -> None:
            rates.append(state.lr or 0.0)

    run = train(
        {"name": "cosine-restarts", "cycle_epochs": 2},
        optimizer="sgd",
        regularizers=[{"name": "snapshot-ensemble", "every": 6}],
        callbacks=[Note()],
    )
    ends = [t + 1 for t in range(len(rates) - 1) if rates[t + 1] > rates[t]]
    assert ends == [6, 12]  # and at the end of the run, step 18
    ensemble = run.predictor.regularization.parts[0]  # type: ignore[attr-defined]
    assert len(ensemble.kept) == 3


def test_the_effective_rate_stands_beside_the_nominal_one() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    settings = {"training.watch": False}
    run = preceptor.train(
        net,
        "iris",
        optimizer="sgd",
        lr=0.5,
        epochs=4,
        out=False,
        callbacks=[EffectiveRate()],
        settings=settings,
    )
    assert run.history[:, "lr"] == [0.5] * 4
    effective = run.history[:, "effective_lr"]
    assert effective[-1] < effective[0]  # as the weights grow
    plain = preceptor.train(
        "linear", "iris", epochs=1, out=False, callbacks=[EffectiveRate()], settings=settings
    )
    assert plain.history[0, "effective_lr"] != plain.history[0, "effective_lr"]
