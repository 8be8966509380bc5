"""Tests on the shapes of curves; each knows the noise, and returns None where nothing stands out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preceptor.diagnosis.curve import Curve, Floats, in_errors

__all__ = [
    "Cut",
    "Easier",
    "Flat",
    "Gap",
    "Late",
    "Rise",
    "Swing",
    "cut_gain",
    "easier",
    "gap",
    "late_start",
    "plateau",
    "rise",
    "sign_test",
    "straight",
    "summary",
    "swing",
]

_SURE = 3.0


def summary(curve: Curve) -> dict[str, Any]:
    """Return the numbers that describe a curve in short."""
    slope = curve.slope()
    return {
        "points": len(curve),
        "first level": curve.start,
        "last level": curve.end,
        "noise": curve.noise,
        "slope in standard errors": slope.t,
    }


@dataclass(frozen=True)
class Rise:
    """A lasting rise, from ``low`` at ``since`` to ``high`` at the end, as a share of the fall before."""

    since: int
    low: float
    high: float
    share: float
    evidence: dict[str, Any] = field(default_factory=dict)


def rise(curve: Curve) -> Rise | None:
    """Find whether a curve has turned: its end lies above its lowest level, beyond chance.

    t = (mean of the last tenth − lowest running mean) / (σ √(1/n₁ + 1/n₂)) > 4, σ = noise, n₁, n₂ = points
    of the two means: more than the usual 3, as the lowest of many means lies low by chance. Besides the
    test of Mann and Kendall must find the rest rising (z > 2.3), or its second half never come half the way
    back, and the rise be 5 % of the lowest level and 2 % of the fall before.

    Source: Prechelt, Early Stopping — But When? (1998), whose generalization loss is the rise in percent.
    """
    n = len(curve)
    if n < 5:
        return None
    width = max(3 if n >= 12 else 1, n // 20)
    means = np.convolve(curve.values, np.ones(width) / width, mode="valid")
    at = int(np.argmin(means))
    middle = at + width // 2
    late = curve.values[-max(2 if n < 12 else 3, n // 10) :]
    rest = Curve(curve.steps[middle:], curve.values[middle:])
    if len(rest) < 4:
        return None
    low, high = float(means[at]), float(late.mean())
    error = curve.noise * math.sqrt(1 / width + 1 / len(late))
    t = in_errors(high - low, error)
    trend = rest.trend()
    fell = max(float(means[0]) - low, 0.0)
    enough = high - low > max(0.05 * abs(low), 0.02 * fell)
    # four points can at best reach z = 1.7: of fewer than eight all pairs must rise
    rising = trend.z > 2.3 or _stays(rest, width, (low + high) / 2) if len(rest) >= 8 else trend.tau > 0.99
    if t <= 4 or not rising or not enough:
        return None
    evidence = {
        "lowest level": low,
        "last level": high,
        "rise in standard errors": t,
        "Mann-Kendall z since": trend.z,
        "points since": len(rest),
    }
    return Rise(int(curve.steps[middle]), low, high, (high - low) / fell if fell > 0 else math.inf, evidence)


def _stays(rest: Curve, width: int, level: float) -> bool:
    """Whether the running mean of the second half never comes back to a level."""
    late = rest.values[len(rest) // 2 :]
    return bool(np.convolve(late, np.ones(width) / width, mode="valid").min() > level)


@dataclass(frozen=True)
class Swing:
    """A swing of ``size`` about ``level``; how it was found."""

    size: float
    level: float
    how: str
    evidence: dict[str, Any] = field(default_factory=dict)


def swing(curve: Curve) -> Swing | None:
    """Find whether a curve goes up and down more regularly than noise, by a size that matters.

    Turning points: of n independent values 2(n − 2)/3 turn, with variance (16n − 29)/90; alternation is found
    at z > 3.5. Periods: Fisher's test on the periodogram of what is left beside a quadratic, P ≈ m (1 −
    g)^(m − 1) < 10⁻⁴, g = largest share of m frequencies, the two lowest ones, which are shape, left out. The
    size must exceed a tenth of what the curve has fallen and of its level.

    Source: Bienaymé (1874); Fisher (1929).
    """
    late = curve.part(1 / 3)
    n = len(late)
    if n < 12:
        return None
    values = late.values
    x = np.linspace(-1, 1, n)
    left: Floats = values - np.polyval(np.polyfit(x, values, 2), x)
    level, size = float(np.median(values)), 2 * math.sqrt(2) * float(np.std(left))
    if size < 0.1 * max(abs(level), curve.start - curve.best):
        return None
    steps = np.sign(np.diff(values))
    turns = int(np.sum(steps[1:] * steps[:-1] < 0))
    z = (turns - 2 * (n - 2) / 3) / math.sqrt((16 * n - 29) / 90)
    evidence: dict[str, Any] = {
        "turning points": turns,
        "expected of noise": round(2 * (n - 2) / 3, 1),
        "z": z,
    }
    if z > 3.5:
        return Swing(size, level, "up and down at nearly every point", evidence)
    power = np.abs(np.fft.rfft(left))[3:] ** 2
    if n < 24 or power.sum() <= 0:
        return None
    share, m = float(power.max() / power.sum()), len(power)
    chance = m * (1 - share) ** (m - 1)
    if chance >= 1e-4:
        return None
    period = n / (int(np.argmax(power)) + 3)
    spacing = float(late.steps[-1] - late.steps[0]) / (n - 1)
    evidence = {"period": period * spacing, "share of one period": share, "chance of noise": chance}
    return Swing(size, level, f"with a period of {period * spacing:.3g}", evidence)


@dataclass(frozen=True)
class Late:
    """A curve that stays at its first ``level`` until ``since``."""

    level: float
    since: int
    evidence: dict[str, Any] = field(default_factory=dict)


def late_start(curve: Curve) -> Late | None:
    """Find whether a curve that falls has first stayed where it was, for a fifth of the run or longer."""
    steps, means = curve.blocks(20)
    if len(means) < 8 or not curve.start > 0:
        return None
    level = float(np.median(means[: max(2, len(means) // 8)]))
    fallen = level - curve.best
    if fallen < max(0.2 * level, 6 * curve.noise / math.sqrt(max(1, len(curve) // 20))):
        return None
    begun = np.flatnonzero(means < level - 0.1 * fallen)
    first = int(begun[0]) if len(begun) else len(means)
    if first < max(3, len(means) // 5) or first >= len(means):
        return None
    before = means[:first]
    if float(before.max() - before.min()) > 0.2 * fallen:
        return None
    evidence = {"first level": level, "fall afterwards": fallen, "share of the run": first / len(means)}
    return Late(level, int(steps[first - 1]), evidence)


def straight(curve: Curve) -> dict[str, Any] | None:
    """Return the evidence for a fall in a straight line that ends far from zero; None where it bends.

    R² of a line through block means ≥ 0.9, and the second half falls at least 0.6 times as far as the first.
    """
    x, y = curve.blocks()
    if len(y) < 6 or not curve.end > 0.3 * curve.start > 0:
        return None
    spread = float(((y - y.mean()) ** 2).sum())
    fitted = np.polyval(np.polyfit(x, y, 1), x)
    explained = 1 - float(((y - fitted) ** 2).sum()) / spread if spread > 0 else 0.0
    early, late = curve.slope(0.05, 0.5).change, curve.slope(0.5, 1.0).change
    ratio = late / early if early < 0 else 1e6
    if explained < 0.9 or ratio < 0.6:
        return None
    return {"R² of a line": explained, "fall of the second half / the first": ratio}


@dataclass(frozen=True)
class Flat:
    """A plateau; ``left`` = its level / the first level."""

    level: float
    since: int
    left: float
    fast: bool
    noisy: bool
    evidence: dict[str, Any] = field(default_factory=dict)


def plateau(curve: Curve) -> Flat | None:
    """Find whether a curve has fallen, and is flat in its second half at more than half its first level."""
    if len(curve) < 10 or not curve.start > 0 or curve.diverged:
        return None
    line = curve.slope(0.5, 1.0)
    begin = max(curve.start, curve.first)
    fallen = begin - line.level
    if not 0.5 * begin < line.level or fallen < max(0.03 * begin, curve.noise):
        return None
    if abs(line.change) > max(0.05 * fallen, _SURE * line.error):
        return None
    steps, means = curve.blocks()
    arrived = int(np.flatnonzero(means <= line.level + 0.1 * fallen)[0])
    late = curve.part(0.5).values
    noise = float(np.std(late))
    evidence = {
        "slope of the second half in standard errors": line.t,
        "level / first level": line.level / begin,
        "share of the run until there": (arrived + 1) / len(means),
        "noise / level": noise / line.level,
    }
    fast = arrived < max(1, len(means) // 10)
    noisy = noise > 0.05 * line.level
    return Flat(line.level, int(steps[arrived]), line.level / begin, fast, noisy, evidence)


@dataclass(frozen=True)
class Gap:
    """How far validation lies above training at the end, and in standard errors."""

    size: float
    t: float

    @property
    def evidence(self) -> dict[str, Any]:
        """In words."""
        return {"gap at the end": self.size, "gap in standard errors": self.t}


def gap(train: Curve, held_out: Curve) -> Gap | None:
    """Measure the gap between the curves at the end; None where one of them is missing."""
    if len(train) < 3 or len(held_out) < 3:
        return None
    size = held_out.end - train.end
    error = math.hypot(train.noise, held_out.noise) / math.sqrt(3)
    return Gap(size, in_errors(size, error))


def sign_test(hits: int, pairs: int) -> float:
    """Return the chance of ``hits`` or more of ``pairs`` fair coins.

    Example:
        >>> round(sign_test(9, 10), 4)
        0.0107
    """
    return float(sum(math.comb(pairs, k) for k in range(hits, pairs + 1)) / 2**pairs)


@dataclass(frozen=True)
class Easier:
    """Validation below training: in ``below`` of ``pairs``, by ``size`` in the median."""

    below: int
    pairs: int
    size: float
    lagging: bool
    evidence: dict[str, Any] = field(default_factory=dict)


def easier(train: Curve, held_out: Curve) -> Easier | None:
    """Find whether validation lies below training beyond chance (sign test, P < 0.01, at least 2 % in size).

    A training figure that is a running mean over the epoch belongs to the weights of half an epoch before: if
    the curves agree once it is moved by half an epoch, that explains it (``lagging``).
    """
    shared = np.intersect1d(train.steps, held_out.steps)
    if len(shared) < 8 or len(shared) > 1000:
        return None
    a = train.values[np.searchsorted(train.steps, shared)]
    b = held_out.values[np.searchsorted(held_out.steps, shared)]
    below, size = int(np.sum(b < a)), float(np.median(a - b))
    chance = sign_test(below, len(shared))
    if chance >= 0.01 or size <= 0.02 * abs(float(np.median(a))):
        return None
    moved = (a[:-1] + a[1:]) / 2
    lagging = sign_test(int(np.sum(b[:-1] < moved)), len(moved)) > 0.05
    evidence = {"epochs below": below, "epochs": len(shared), "chance": chance, "median difference": size}
    evidence["epochs below once moved by half an epoch"] = int(np.sum(b[:-1] < moved))
    return Easier(below, len(shared), size, lagging, evidence)


@dataclass(frozen=True)
class Cut:
    """What a cut of the learning rate at ``since`` brought at once."""

    since: int
    size: float
    noise: float
    t: float
    share: float
    was_falling: bool
    falls_on: bool
    evidence: dict[str, Any] = field(default_factory=dict)


def cut_gain(curve: Curve, rates: Curve) -> Cut | None:
    """Measure what the first sudden cut of the learning rate (to half or less) did to the curve."""
    if len(rates) < 2 or len(curve) < 10:
        return None
    drops = np.flatnonzero(rates.values[1:] <= 0.5 * rates.values[:-1]) + 1
    for drop in drops.tolist():
        step = int(rates.steps[drop])
        place = int(np.searchsorted(curve.steps, step))
        before, after = curve.values[max(0, place - 10) : place], curve.values[place + 1 : place + 6]
        if len(before) < 5 or len(after) < 3:
            continue
        size = float(before[-5:].mean() - after.mean())
        past = Curve(curve.steps[:place], curve.values[:place])
        error, earlier = past.noise * math.sqrt(1 / 5 + 1 / len(after)), past.slope(0.5)
        later = Curve(curve.steps[place + 1 :], curve.values[place + 1 :]).slope()
        evidence = {
            "rate before": float(rates.values[drop - 1]),
            "rate after": float(rates.values[drop]),
            "drop": size,
            "slope before in standard errors": earlier.t,
            "slope after in standard errors": later.t,
        }
        t = in_errors(size, error)
        share = size / abs(float(before[-5:].mean()) or 1.0)
        return Cut(step, size, past.noise, t, share, earlier.t < -_SURE, later.t < -2, evidence)
    return None
