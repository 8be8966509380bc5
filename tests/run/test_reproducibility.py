"""The same seed gives the same run to the last bit, and the caller's generators are left alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.data import generators
from preceptor.training import State

from .conftest import QUICK, Points, assert_equal, net, weights


def noisy() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))


def state_of_generators() -> list[Any]:
    captured = generators.capture()
    return [
        captured["torch"].tolist(),
        captured["numpy"]["keys"].tolist(),
        captured["numpy"]["rest"],
        captured["python"]["words"].tolist(),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", noisy])
@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_gives_the_same_run(points: Points, model: Any, seed: int) -> None:
    runs = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        np.random.seed(disturbance)
        random.seed(disturbance)
        runs.append(preceptor.train(model, (points.x, points.y), seed=seed, **QUICK))
    assert runs[0].history.without("seconds") == runs[1].history.without("seconds")
    assert_equal(weights(runs[0]), weights(runs[1]))


def test_another_seed_gives_another_run_on_the_same_split(points: Points) -> None:
    a, b = (preceptor.train(noisy, (points.x, points.y), seed=seed, **QUICK) for seed in (0, 1))
    assert a.history.without("seconds") != b.history.without("seconds")
    assert a.prepared is not None
    assert b.prepared is not None
    assert a.prepared.split.fingerprint == b.prepared.split.fingerprint


def test_another_seed_of_the_data_gives_another_split(points: Points) -> None:
    a, b = (
        preceptor.train("mlp", (points.x, points.y), settings={"data.seed": seed}, **QUICK) for seed in (0, 1)
    )
    assert a.prepared is not None
    assert b.prepared is not None
    assert a.prepared.split.fingerprint != b.prepared.split.fingerprint


@pytest.mark.parametrize("form", ["arrays", "loader"])
def test_the_callers_generators_are_untouched(points: Points, form: str) -> None:
    data: Any = (points.x, points.y)
    if form == "loader":
        data = DataLoader(TensorDataset(*points.tensors), batch_size=20, shuffle=True)
    before = state_of_generators()
    run = preceptor.train(noisy, data, **QUICK)
    assert state_of_generators() == before
    run.evaluate("train")
    run.predict(torch.from_numpy(points.x))
    assert state_of_generators() == before


def test_they_are_untouched_by_a_failure(points: Points) -> None:
    class Fails(preceptor.Callback):
        def on_batch_end(self, state: State) -> None:
            raise KeyError("as it always does")

    before = state_of_generators()
    with pytest.raises(KeyError):
        preceptor.train(noisy, (points.x, points.y), callbacks=[Fails()], **QUICK)
    assert state_of_generators() == before


def test_a_callback_that_only_looks_changes_nothing(points: Points) -> None:
    class Looks(preceptor.Callback):
        def on_batch_end(self, state: State) -> None:
            assert state.loss is not None
            state.loss.item()

        def on_epoch_end(self, state: State) -> None:
            state.snapshot()
            state.weights()

    plain, watched = (
        preceptor.train(noisy, (points.x, points.y), callbacks=callbacks, **QUICK)
        for callbacks in ([], [Looks()])
    )
    assert plain.history.without("seconds") == watched.history.without("seconds")
    assert_equal(weights(plain), weights(watched))


def test_deterministic_kernels_can_be_insisted_on(points: Points) -> None:
    class Sees(preceptor.Callback):
        seen = False

        def on_batch_begin(self, state: State) -> None:
            self.seen = torch.are_deterministic_algorithms_enabled()

    for wanted in (True, False):
        sees = Sees()
        preceptor.train(net, (points.x, points.y), deterministic=wanted, callbacks=[sees], **QUICK)
        assert sees.seen is wanted
        assert not torch.are_deterministic_algorithms_enabled()
