"""From losses at many learning rates, with several seeds each, to a rate and a band around it, or to none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RateChoice", "choose_rate", "smoothed"]

Array = NDArray[np.float64]

_DROP = 0.1  # of the first loss: what must be gained for a rate to be said to work
_ALIKE = 0.05, 0.1  # of what is gained, and of the lowest loss: a difference that nobody would miss
_WIDE = 3.0  # decades of rates that do the same: then the rate is not what matters
_BANDWIDTH = 0.4  # decades to either side that a point of the smoothed curve is made from
_FINE = 200


@dataclass(frozen=True)
class RateChoice:
    """A learning rate with the band in which others do about as well; or why none is named.

    Attributes:
        lr: the rate; None where it is unclear.
        low, high: the band.
        reason: why no rate is named; "" where one is.
        edge: -1 or 1 where the best lies at the lower or upper end of what was tried, else 0.
    """

    lr: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    edge: int = 0


def choose_rate(rates: Sequence[float], losses: Array, start: float) -> RateChoice:
    """Choose among R rates by the losses of S trainings at each.

    The loss over log lr is smoothed by local quadratics. The band holds the rates around its lowest point
    whose loss, compared seed by seed, exceeds the best one's by no more than one standard error and 5 % of
    what is gained, or 10 % of the loss itself, whichever is less. The rate is the middle of the band: its
    upper end lies near where training breaks, and the lowest of some noisy losses is often a lucky one.

    Arguments:
        rates: ascending, (R,).
        losses: (R, S), not finite where a training diverged.
        start: the loss before training.

    Example:
        >>> rates = [1e-3, 1e-2, 1e-1, 1.0]
        >>> losses = np.array([[0.9, 0.8], [0.4, 0.5], [0.2, 0.3], [np.nan, 0.4]])
        >>> choice = choose_rate(rates, losses, start=1.0)
        >>> 0.02 < choice.lr < 0.2, choice.high, choice.edge
        (True, 0.1, 0)
    """
    x, usable = np.log10(np.asarray(rates, dtype=np.float64)), _usable(losses)
    if not usable.any():
        return RateChoice(reason="training diverges at every rate that was tried", edge=-1)
    places = np.flatnonzero(usable)
    means = losses[places].mean(1)
    at, curve = _lowest(x[places], means)
    best = int(places[np.abs(x[places] - at).argmin()])
    gained = start - curve
    if not gained > _DROP * abs(start):
        shown = f"from {start:.3g} to {float(means.min()):.3g} at best"
        return RateChoice(reason=f"no rate lowers the loss by a tenth: {shown}")
    alike = min(_ALIKE[0] * gained, _ALIKE[1] * abs(curve))
    low, high = _band(losses, usable, best, alike)
    edge = -1 if best == 0 else 1 if best == len(x) - 1 else 0
    choice = RateChoice(float(math.sqrt(rates[low] * rates[high])), rates[low], rates[high], edge=edge)
    width = x[high] - x[low]
    if width >= _WIDE:
        reason = f"rates from {rates[low]:.1e} to {rates[high]:.1e} do about the same"
        return RateChoice(None, choice.low, choice.high, reason, edge)
    return choice


def _usable(losses: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(losses).all(axis=1))


def _lowest(x: Array, means: Array) -> tuple[float, float]:
    """Return log10 of the rate at which the smoothed curve is lowest, and its value there."""
    fine = np.linspace(x[0], x[-1], _FINE) if len(x) > 1 else x
    # A rate between two that work, far apart from both, may lie in a gap where others diverged.
    fine = fine[np.abs(fine[:, None] - x[None]).min(1) <= _BANDWIDTH]
    values = smoothed(x, means, fine)
    at = int(values.argmin())
    return float(fine[at]), float(values[at])


def smoothed(x: Array, y: Array, at: Array) -> Array:
    """Return a curve through points by local quadratics with tricube weights; few points, lower orders.

    Arguments:
        x: (N,), ascending.
        y: (N,).
        at: where the curve is wanted, (Q,).

    Source: Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots (1979).
    """
    made = np.empty(len(at))
    for i, centre in enumerate(at):
        distance = np.abs(x - centre)
        reach = max(_BANDWIDTH, float(np.sort(distance)[min(3, len(x) - 1)]) * 1.001)
        weight = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
        near = weight > 1e-9
        order = min(2, int(near.sum()) - 1)
        design = np.vander(x[near] - centre, order + 1, increasing=True)
        root = np.sqrt(weight[near])
        solution = np.linalg.lstsq(design * root[:, None], y[near] * root, rcond=None)[0]
        made[i] = solution[0]
    return made


def _band(losses: Array, usable: NDArray[np.bool_], best: int, tolerance: float) -> tuple[int, int]:
    differences = losses - losses[best]
    seeds = losses.shape[1]
    with np.errstate(invalid="ignore"):
        error = differences.std(1, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.zeros(len(losses))
        alike = usable & (differences.mean(1) - error <= tolerance)
    low = high = best
    while low > 0 and alike[low - 1]:
        low -= 1
    while high < len(losses) - 1 and alike[high + 1]:
        high += 1
    return low, high
