"""A loss that had come down, is thrown up within a few steps, and stays up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.diagnosis.curve import Curve, Floats

__all__ = ["Collapse", "collapse"]

_WINDOW = 5
_LEAST = 20  # points
_GAIN, _PEAK = 0.1, 1.5  # of what a constant prediction has
_CALM = 0.75
_TRIED = 50
_SHARE = 0.2
_TWICE = 2.0


@dataclass(frozen=True)
class Collapse:
    """Where a curve was thrown up.

    Attributes:
        step: of the largest value on the way up.
        before: the lowest level until then: a median over five points.
        peak: the largest value on the way up.
        after: the median of all that follows; NaN where it is not finite any more.
        spikes: points until then with at least twice the loss of both beside them.
    """

    step: int
    before: float
    peak: float
    after: float
    spikes: int


def collapse(curve: Curve, scale: float) -> Collapse | None:
    """Return where a curve goes up for good; None where it does not.

    With m = the median over five points in a row, s = ``scale``, b = the least m so far and σ = the noise:
    the curve had come down (s − b ≥ s/10 and 3 σ, three in four of the last 20 points below s) and is still
    near b (within a quarter of what was gained); within 20 points (a twentieth of the curve, where that is
    more) it exceeds 1.5 s and s + 5 σ; and it is not finite any more, or the median of all that follows, a
    fifth of the curve and 20 points at least, has lost half of what was gained. A curve that comes down
    again, as at every change of what is learned from, has none.

    Arguments:
        curve: a loss.
        scale: the loss of a constant prediction, or the first loss.

    Example:
        >>> import numpy as np
        >>> down = np.concatenate([np.linspace(1, 0.1, 60), [40.0], np.full(60, 1.1)])
        >>> found = collapse(Curve(np.arange(121), down), 1.0)
        >>> found.step, found.peak
        (60, 40.0)
        >>> collapse(Curve(np.arange(60), down[:60]), 1.0) is None
        True
    """
    values = np.asarray(curve.values, dtype=float)
    if len(values) < _LEAST or not scale > 0:
        return None
    level = np.median(np.lib.stride_tricks.sliding_window_view(values, _WINDOW), axis=1)
    best = np.minimum.accumulate(level)
    gained = scale - best
    near = (level <= best + gained / 4) & (gained >= max(_GAIN * scale, 3 * curve.noise))
    high = max(_PEAK * scale, scale + 5 * curve.noise)
    for last, place in _jumps(values, np.flatnonzero(near) + _WINDOW // 2, high):
        before, after = float(best[last - _WINDOW // 2]), _after(curve, values[place:])
        calm = float(np.mean(values[max(0, last - _LEAST) : last + 1] < scale)) >= _CALM
        if calm and not after < (before + scale) / 2:
            spikes = _spikes(values[: last + 1])
            return Collapse(int(curve.steps[place]), before, float(values[place]), after, spikes)
    return None


def _jumps(values: Floats, lows: np.ndarray[Any, Any], high: float) -> Iterator[tuple[int, int]]:
    """The last low points before a jump, and the largest one of the points that follow; a few at most."""
    ahead = max(_LEAST, len(values) // 20)
    above = np.flatnonzero(values > high)
    at = np.searchsorted(above, lows, side="right")
    there = [(int(low), int(above[i])) for low, i in zip(lows, at, strict=True) if i < len(above)]
    last = {jump: low for low, jump in there if jump - low <= ahead}
    for jump, low in list(last.items())[:_TRIED]:
        yield low, jump + int(np.argmax(values[jump : low + ahead + 1]))


def _after(curve: Curve, rest: Floats) -> float:
    """The median of what follows; NaN where that breaks down, −∞ where it is too short to tell."""
    if _broken(curve):
        return math.nan
    return float(np.median(rest)) if len(rest) >= max(_LEAST, _SHARE * len(curve.values)) else -math.inf


def _broken(curve: Curve) -> bool:
    """Whether it is not finite from some point on to the end."""
    return bool(len(curve.all_values)) and not bool(np.isfinite(curve.all_values[-1]))


def _spikes(values: Floats) -> int:
    if len(values) < 3:
        return 0
    beside = np.maximum(values[:-2], values[2:])
    return int(np.sum(values[1:-1] >= _TWICE * np.abs(beside)))
