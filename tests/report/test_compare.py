"""Differences of runs over seeds, beside scipy, and what counts as one change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from preceptor.report.compare import Difference, _changes, difference

A = {0: 0.90, 1: 0.93, 2: 0.91, 3: 0.92}
B = {0: 0.93, 1: 0.94, 2: 0.95, 3: 0.93}


def test_pairs_of_seeds() -> None:
    mean, low, high, pairs = difference(A, B) or (0, 0, 0, 0)
    theirs = ttest_rel(list(B.values()), list(A.values())).confidence_interval(0.95)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))
    assert mean == pytest.approx(np.mean(list(B.values())) - np.mean(list(A.values())))
    assert pairs == 4


def test_other_seeds() -> None:
    b = {seed + 10: value for seed, value in B.items() if seed != 3}
    mean, low, high, pairs = difference(A, b) or (0, 0, 0, 0)
    theirs = ttest_ind(list(b.values()), list(A.values()), equal_var=False).confidence_interval(0.95)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))
    assert low < mean < high
    assert pairs == 0


def test_one_seed_says_nothing() -> None:
    assert difference({0: 0.9}, B) is None


def test_values_that_do_not_vary_say_nothing() -> None:
    assert difference({0: 0.9, 1: 0.9}, {0: 0.95, 1: 0.95}) is None
    assert difference({0: 0.9, 1: 0.9}, {2: 0.95, 3: 0.95}) is None


@pytest.mark.parametrize(
    ("low", "high", "noise"), [(-0.1, 0.2, True), (0.1, 0.2, False), (-0.2, -0.1, False)]
)
def test_the_verdict(low: float, high: float, noise: bool) -> None:
    found = Difference("val_loss", "b beside a", (low + high) / 2, low, high, 3)
    assert found.noise is noise
    assert ("within the noise" in str(found)) is noise


def test_a_block_with_its_options_is_one_change() -> None:
    other = {"schedule.name": ("constant", "step"), "schedule.gamma": ("–", 0.5), "optimizer.lr": (0.1, 0.2)}
    assert _changes(other) == ["schedule.name", "optimizer.lr"]
    assert _changes({"schedule.gamma": (0.1, 0.5), "seed": (0, 1)}) == ["schedule.gamma"]
    assert _changes({}) == []
