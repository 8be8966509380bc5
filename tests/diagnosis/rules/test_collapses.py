"""Runs that had learned and are thrown back, and those that only look a little like it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import preceptor
from preceptor.diagnosis._collapse import collapse
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.rules import collapses
from preceptor.observation.observed import Observed

from ._judge import alarms, findings

X = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
Y = X @ torch.randn(8, generator=torch.Generator().manual_seed(1))
CLIPPING, RATE = "missing-gradient-clipping", "learning-rate-too-high"


def spoilt(step: int, x: Tensor) -> Tensor:
    """A rare sample is far larger than all others, once the run has learned."""
    if step < 100 or step % 25 != 24:
        return x
    x = x.clone()
    x[0] *= 100
    return x


def fit(kind: type[torch.optim.Optimizer], lr: float, clip: float = 0.0, *, spoil: bool = True) -> Observed:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
    with preceptor.watch() as watch:
        optimizer = kind(model.parameters(), lr=lr)
        for step in range(240):
            chosen = torch.randint(len(X), (32,))
            x = spoilt(step, X[chosen]) if spoil else X[chosen]
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x).squeeze(1), Y[chosen]).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
    return watch.observed


def test_single_gradients_that_undo_what_was_learned() -> None:
    finding = findings(fit(torch.optim.SGD, 0.05), collapses)[CLIPPING]
    assert finding.severity == "critical"
    assert finding.where.startswith("test_collapses.py:")
    assert finding.evidence["loss before"] < 1 < finding.evidence["largest loss then"]
    assert finding.steps[0] >= 100


def test_with_clipping_without_outliers_and_with_adam_it_goes_well() -> None:
    assert alarms(fit(torch.optim.SGD, 0.05, clip=1.0), collapses) == set()
    assert alarms(fit(torch.optim.SGD, 0.05, spoil=False), collapses) == set()
    assert alarms(fit(torch.optim.Adam, 0.01), collapses) == set()


def thrown(kind: str, lr: float, after: Callable[[int], float]) -> Observed:
    """A curve made by hand, of an optimizer of some kind and rate."""
    record = preceptor.observation.record.Record()
    record.facts["optimizers"] = [{"number": 0, "class": kind, "groups": [{"lr": lr, "parameters": 1}]}]
    for step in range(200):
        record.add("loss", step, math.exp(-step / 20) if step < 100 else after(step), "train")
        record.add("lr", step, lr, "0.0")
    return Observed(record, preceptor.observation.protocol.Protocol(), steps={"train": 200})


def test_the_method_and_its_rate_say_what_is_to_blame() -> None:
    stays = lambda step: 50.0 if step == 100 else 1.2  # noqa: E731
    assert alarms(thrown("SGD", 0.05, stays), collapses) == {CLIPPING}
    assert alarms(thrown("SGD", 20.0, stays), collapses) == {RATE}
    assert alarms(thrown("Adam", 0.01, stays), collapses) == {RATE}


def test_a_run_that_ends_not_finite() -> None:
    breaks = lambda step: 50.0 * 1e3 ** (step - 100) if step < 104 else math.nan  # noqa: E731
    finding = findings(thrown("SGD", 0.05, breaks), collapses)[CLIPPING]
    assert finding.severity == "critical"
    assert "not finite" in finding.title


def test_a_run_that_comes_down_again_is_not_thrown_back() -> None:
    assert alarms(thrown("SGD", 0.05, lambda step: math.exp(-(step % 25) / 5) * 4), collapses) == set()
    assert alarms(thrown("SGD", 0.05, lambda step: 0.4 + (step - 100) / 150), collapses) == set()


def test_samples_in_the_order_of_their_classes_are_no_collapse() -> None:
    def sawtooth(length: int) -> Curve:
        steps = np.arange(400)
        return Curve(steps, 8 * np.exp(-(steps % length) / 3))

    for length in (5, 10, 40, 100):
        assert collapse(sawtooth(length), 2.3) is None


def test_noise_alone_is_no_collapse() -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).gamma(2.0, 0.5, 300)
        assert collapse(Curve(np.arange(300), values), 1.0) is None


def test_short_odd_and_empty_curves() -> None:
    for values in ([], [1.0], [math.nan] * 40, [0.0] * 40):
        assert collapse(Curve(np.arange(len(values)), np.array(values)), 1.0) is None
    assert collapse(Curve(np.arange(40), np.ones(40)), math.nan) is None
