"""Verdicts on planted shapes, with noise of several seeds, and on curves of every odd kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.verdict import VERDICTS, verdicts

E = np.arange(60.0)
Shape = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray | None]]


def _noise(random: np.random.Generator, deviation: float) -> np.ndarray:
    return random.normal(0, deviation, len(E))


def _both(train: np.ndarray, held_out: np.ndarray | None, deviation: float = 0.01) -> Shape:
    def shape(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        other = None if held_out is None else held_out + _noise(random, 1.5 * deviation)
        return train + _noise(random, deviation), other

    return shape


_FALL = 2.1 * np.exp(-E / 8)
SHAPES: dict[str, Shape] = {
    "ideal": _both(2.1 * np.exp(-E / 5) + 0.2, 2.1 * np.exp(-E / 5) + 0.21),
    "still learning": _both(2.3 * (1 + E) ** -0.5, 2.3 * (1 + E) ** -0.5 + 0.02, 0.005),
    "no progress": _both(2.303 + 0 * E, 2.303 + 0 * E),
    "late start": _both(np.where(E < 25, 2.3, 0.2 + 2.1 * np.exp(-(E - 25) / 4)), None),
    "too little capacity": _both(0.8 * np.exp(-E / 6) + 1.4, 0.8 * np.exp(-E / 6) + 1.4),
    "rate too high": _both(0.9 * np.exp(-E / 1.5) + 1.4, None, 0.1),
    "rate too low": _both(2.3 - 0.01 * E, 2.32 - 0.0098 * E),
    "inconsistent data": _both(_FALL + 0.05, 2.4 + 0 * E),
    "overfitting": _both(_FALL + 0.02, _FALL + 0.4 + 0.01 * np.maximum(0, E - 20)),
    "validation easier": _both(2.1 * np.exp(-E / 5) + 0.5, 2.1 * np.exp(-E / 5) + 0.3),
    "oscillating": _both(1.5 * np.exp(-E / 6) + 0.8 + 0.25 * (-1) ** E, None, 0.03),
    "diverged": _both(np.where(E < 25, 2.3 - 0.05 * E, 1.05 * 1.1 ** (E - 25)), None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_planted_shapes_are_told_apart(name: str) -> None:
    found: Counter[str] = Counter()
    for seed in range(10):
        train, held_out = SHAPES[name](np.random.default_rng(seed))
        curves = {"loss": Curve(E, train)} | ({} if held_out is None else {"val_loss": Curve(E, held_out)})
        found[verdicts(curves)[0].name] += 1
    assert found[name] >= 8, found


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_shape(seed: int) -> None:
    random = np.random.default_rng(seed)
    curves = {"loss": Curve(E, 1 + _noise(random, 0.1)), "val_loss": Curve(E, 1 + _noise(random, 0.1))}
    assert {verdict.name for verdict in verdicts(curves)} <= {"no progress", "unclear"}


def test_a_loss_that_is_not_finite() -> None:
    values = np.where(E < 30, 1 - E / 60, math.nan)
    (verdict,) = [one for one in verdicts({"train_loss": Curve(E, values)}) if one.confidence == 1]
    assert (verdict.name, verdict.since) == ("diverged", 30)
    assert verdicts({"loss": Curve([0, 1], [math.nan, math.nan])})[0].name == "diverged"


def test_a_cut_of_the_rate_that_helps_means_it_was_too_high() -> None:
    random = np.random.default_rng(0)
    values = np.where(E < 35, 1.5 + 0.6 * np.exp(-E / 2), 1.2) + _noise(random, 0.02)
    rates = Curve(E, np.where(E < 35, 0.1, 0.01))
    assert verdicts({"loss": Curve(E, values), "lr": rates})[0].name == "rate too high"


def test_a_cut_that_only_calms_comes_early() -> None:
    random = np.random.default_rng(0)
    values = np.where(E < 30, 2.3 - 0.04 * E, 1.14) + np.where(E < 30, _noise(random, 0.05), 0.001)
    rates = Curve(E, np.where(E < 30, 0.1, 0.001))
    assert "rate cut early" in {one.name for one in verdicts({"loss": Curve(E, values), "lr": rates})}


def test_a_schedule_that_has_ended_leaves_nothing_to_learn() -> None:
    values = 2.3 * (1 + E) ** -0.5
    rates = Curve(E, 0.1 * (1 + np.cos(np.pi * E / 60)) / 2)
    assert "still learning" in {one.name for one in verdicts({"loss": Curve(E, values)})}
    assert "still learning" not in {one.name for one in verdicts({"loss": Curve(E, values), "lr": rates})}


def test_a_running_mean_explains_an_easier_validation() -> None:
    random = np.random.default_rng(0)
    fall = lambda at: 2 * np.exp(-at / 15)  # noqa: E731
    train, held_out = fall(E - 0.5) + _noise(random, 0.001), fall(E) + _noise(random, 0.001)
    (easier,) = [
        one
        for one in verdicts({"loss": Curve(E, train), "val_loss": Curve(E, held_out)})
        if one.name == "validation easier"
    ]
    assert "half an epoch" in easier.cannot_tell[0]
    assert easier.causes == ()


def test_accuracies_serve_where_there_is_no_loss() -> None:
    accuracy = 0.95 - 0.45 * np.exp(-E / 5)
    held_out = accuracy - 0.02 - 0.005 * np.maximum(0, E - 20)
    found = verdicts({"acc": Curve(E, accuracy), "val_acc": Curve(E, held_out)})
    assert found[0].name == "overfitting"
    assert "error" in found[0].title


def test_an_accuracy_that_does_not_suffer_is_said() -> None:
    train, held_out = SHAPES["overfitting"](np.random.default_rng(0))
    assert held_out is not None
    curves = {
        "loss": Curve(E, train),
        "val_loss": Curve(E, held_out),
        "val_acc": Curve(E, 0.9 - np.exp(-E / 5)),
    }
    (found,) = [one for one in verdicts(curves) if one.name == "overfitting"]
    assert "accuracy" in found.cannot_tell[0]


@pytest.mark.parametrize("points", [0, 1, 3])
def test_few_points_are_unclear(points: int) -> None:
    assert verdicts({"loss": Curve(range(points), [1.0] * points)})[0].name == "unclear"
    assert verdicts({})[0].name == "unclear"


@pytest.mark.parametrize("values", [[0.0] * 30, [1.0] * 30, [-5.0 - i for i in range(30)], [1e300] * 30])
def test_odd_curves_raise_nothing(values: list[float]) -> None:
    for verdict in verdicts({"loss": Curve(range(30), values), "val_loss": Curve(range(30), values)}):
        assert verdict.name in VERDICTS
        assert set(verdict.causes) <= set(CAUSES)
        assert verdict.to_plain()["verdict"] == verdict.name
