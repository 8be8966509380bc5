"""Rules: preparation of inputs that differs between phases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.diagnosis._data_feeds import Columns, Feed, feeds
from preceptor.diagnosis._data_order import sorted_share
from preceptor.diagnosis._data_outcome import held_out
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_ROWS, _LOOKS = 8, 4
_SPREADS, _SHIFTS = 3.0, 2.0
_FAR = 2.0
_OUTLIER, _SERIES = 8.0, 4
_FEW, _DRIFT, _ALIKE = 10.0, 5.0, 0.25
_WORSE = 1.5


@rule("inconsistent-preprocessing")
def inconsistent_preprocessing(case: Case) -> Iterator[Finding]:
    """Name evaluation inputs that lie elsewhere than the training inputs of the same model.

    Over columns j: s = √(Σ σ_j,e² / Σ σ_j,t²), d = median |μ_j,e − μ_j,t| / σ_j,t; t = training, e =
    evaluation, at least 8 rows each. Elsewhere: s or 1/s ≥ 3, or d ≥ 2: new samples of the same population
    have s ≈ 1 and d ≈ 0, whatever they are. What counts is how many samples are different ones, n (of a few
    that come at every pass, n is those few): with n < 8 normal values alone reach s or 1/s of 3 once in
    10,000 times, and ten times as much is asked for. Two or three samples that are waves as a whole, or
    windows of a slow series, lie close to each other at each column and are yet as large as others: 1/s is
    the smaller one of that within columns and that about the mean of all. And a few outliers make a spread:
    where the largest deviation in own deviations, r = max |x − μ| / σ, is 8 or more in one phase, and twice
    that of the other, s does not count (s of the same samples in another unit leaves r as it is). Where
    columns are windows of a series, which drifts (four and more of four directions at most, with means and
    deviations alike, and all off by the same, each to a quarter), five times as much is asked for. It counts
    where the evaluation's loss is half as large again as
    the training loss, or where no evaluation has a loss and s, 1/s or d exceed twice as much. Training
    batches that arrive sorted are not compared: they show one end of the data. Breck, Polyzotis, Roy, Whang &
    Zinkevich, Data Validation for Machine Learning (2019).
    """
    if sorted_share(case) > 0.1:
        return
    trained = {feed.model: feed for feed in feeds(case, "train")}
    for feed in feeds(case, "evaluation"):
        base = trained.get(feed.model)
        if base is None or base.columns is None or feed.columns is None or base.columns.of != feed.columns.of:
            continue
        spread, shift = _difference(base.columns, feed.columns)
        far = max(spread / _SPREADS, 1 / spread / _SPREADS if spread > 0 else math.inf, shift / _SHIFTS)
        curve = held_out(case)
        worse = len(curve) > 0 and not curve.end <= _WORSE * case.losses.end
        if not far >= _asked(case, base, feed) or not (worse or (not len(curve) and far >= _FAR)):
            continue
        yield Finding(
            "inconsistent-preprocessing",
            "critical" if far >= _FAR else "warning",
            _told(spread, shift),
            {
                "training: mean and std": _overall(base.columns),
                "evaluation: mean and std": _overall(feed.columns),
                "spread of evaluation / of training": float(f"{spread:.3g}"),
                "shift in training deviations": float(f"{shift:.3g}"),
                **({"training loss": case.losses.end, "evaluation loss": curve.end} if len(curve) else {}),
            },
            confidence=min(0.95, 0.6 + 0.1 * far),
            where=feed.line,
            effect="what is measured is how the model answers to inputs that it was not trained for",
        )
        return


@rule("inconsistent-preprocessing")
def other_bounds(case: Case) -> Iterator[Finding]:
    """Name evaluation inputs that end at other bounds than training inputs do.

    Pixels and the like have bounds that every batch reaches: smallest and largest value are the same at all
    of at least four looked-at training batches, a and b. The evaluation's c and d are bounds, too, where they
    are whole numbers, or half of several columns reach c and a fifth d, exactly. Named where the
    one interval is not the other: d − c is not within a third of b − a, or the middles lie a quarter of the
    width apart. Augmentation and noise move the ends, and do not count.
    """
    trained = {feed.model: feed for feed in feeds(case, "train")}
    a, b = _bounds(case)
    if not b > a or len(trained) != 1 or len(case.optimizers) != 1:
        return
    for feed in feeds(case, "evaluation"):
        base = trained.get(feed.model)
        if (
            base is None
            or base.shape != feed.shape
            or feed.columns is None
            or feed.columns.count.sum() < 1000
        ):
            continue
        low, high = float(np.nanmin(feed.columns.low)), float(np.nanmax(feed.columns.high))
        firm = (low.is_integer() and high.is_integer()) or _reached(feed.columns, low, high)
        width, apart = (high - low) / (b - a), abs(high + low - a - b) / 2 / (b - a)
        if not firm or not high > low or (0.75 <= width <= 4 / 3 and apart <= 0.25):
            continue
        yield Finding(
            "inconsistent-preprocessing",
            "critical" if width >= 10 or width <= 0.1 else "warning",
            f"Training inputs lie within {a:.4g} … {b:.4g}, evaluation inputs within {low:.4g} … {high:.4g}.",
            {
                "training": [a, b],
                "evaluation": [low, high],
                "batches looked at": len(case.signal("input_min", "train")),
            },
            confidence=0.85,
            where=feed.line,
            effect="the model is evaluated on inputs that it was not trained for",
        )
        return


def _bounds(case: Case) -> tuple[float, float]:
    """Smallest and largest training input where all of four looks or more have the same; else 0, 0."""
    low, high = case.signal("input_min", "train").values, case.signal("input_max", "train").values
    if min(len(low), len(high)) < _LOOKS or low.min() != low.max() or high.min() != high.max():
        return 0.0, 0.0
    return float(low[0]), float(high[0])


def _reached(columns: Columns, low: float, high: float) -> bool:
    """Whether many columns have exactly these ends."""
    ends = float(np.mean(columns.low == low)), float(np.mean(columns.high == high))
    return len(columns.low) > 1 and ends[0] >= 0.5 and ends[1] >= 0.2


def _difference(train: Columns, other: Columns) -> tuple[float, float]:
    """The two figures s and d; 1 and 0 where there is too little to tell."""
    known = (train.count >= _ROWS) & (other.count >= _ROWS) & train.moving
    if not known.any():
        return 1.0, 0.0
    spread = math.sqrt(float((other.std[known] ** 2).sum() / (train.std[known] ** 2).sum()))
    shift = float(np.median(np.abs(other.mean[known] - train.mean[known]) / train.std[known]))
    if spread < 1:
        spread = min(1.0, max(spread, _about_all(other, known) / _about_all(train, known)))
    tails = sorted((_tail(train, known), _tail(other, known)))
    return (1.0 if tails[1] >= _OUTLIER and tails[1] >= 2 * tails[0] else spread), shift


def _about_all(columns: Columns, known: NDArray[np.bool_]) -> float:
    """The deviation of all values from the mean of them all."""
    return math.sqrt(float((columns.std[known] ** 2).mean() + columns.mean[known].var()))


def _tail(columns: Columns, known: NDArray[np.bool_]) -> float:
    """r, over the columns together: √(Σ maxᵢ (xᵢⱼ − μⱼ)² / Σ σⱼ²)."""
    mean, variance = columns.mean[known], float((columns.std[known] ** 2).sum())
    most = np.maximum(columns.high[known] - mean, mean - columns.low[known])
    return math.sqrt(float((most**2).sum()) / variance) if variance > 0 else 0.0


def _asked(case: Case, train: Feed, other: Feed) -> float:
    """How many times the usual difference is asked for: more where samples are few, or drift as one."""
    samples, few = case.record.samples, False
    if train.key in samples.keys and other.key in samples.keys:
        _, evaluated, trained = samples.overlap(other.key, train.key)
        few = min(evaluated, trained) < _ROWS
    return max(_FEW if few else 1.0, _DRIFT if _drifts(case, train, other) else 1.0)


def _drifts(case: Case, train: Feed, other: Feed) -> bool:
    """Whether columns that go together are off by the same, as the later windows of one series are."""
    directions: Any = (case.facts.get("relation") or {}).get("directions")
    a, b = train.columns, other.columns
    if not isinstance(directions, (int, float)) or directions > _SERIES or a is None or b is None:
        return False
    known = (a.count >= _ROWS) & (b.count >= _ROWS) & a.moving
    if known.sum() < _SERIES:
        return False
    off, deviations = (b.mean[known] - a.mean[known]) / a.std[known], a.std[known]
    return bool(
        off.std() <= _ALIKE * abs(off.mean())
        and deviations.std() <= _ALIKE * deviations.mean()
        and a.mean[known].std() <= _ALIKE * deviations.mean()
    )


def _told(spread: float, shift: float) -> str:
    if spread >= _SPREADS or spread <= 1 / _SPREADS:
        how = f"{spread:.3g} times" if spread >= 1 else f"1/{1 / max(spread, 1e-12):.3g} of"
        return f"Evaluation inputs spread {how} as much as training inputs: they are prepared differently."
    return f"Evaluation inputs are {shift:.1f} deviations off training inputs: they are prepared differently."


def _overall(columns: Columns) -> list[float]:
    mean, size = float(np.nanmean(columns.mean)), float(np.nanmean(columns.mean**2 + columns.std**2))
    return [float(f"{mean:.4g}"), float(f"{math.sqrt(max(0.0, size - mean * mean)):.4g}")]
