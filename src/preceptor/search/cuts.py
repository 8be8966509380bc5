"""Cuts of the learning rate that came too early: they look good at once, and end worse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from preceptor.training.history import History

__all__ = ["Cut", "cuts", "premature"]

_HALF = 0.5  # a rate that falls to this or below from one epoch to the next was cut, not lowered
_WINDOW, _FEWEST = 8, 3  # epochs on each side of a cut that are looked at
_FLATTER = 0.5  # of the pace before


class Cut(NamedTuple):
    """A sudden fall of the learning rate, and the course of the training loss around it.

    Attributes:
        epoch: the first one at the lower rate, from 1.
        before, after: the rates.
        gain: by how much the loss at that epoch's end lies below the line through those before.
        noise: the largest distance from that line before the cut.
        pace: by how much the loss fell an epoch before the cut.
        later: by how much it fell an epoch after it.
    """

    epoch: int
    before: float
    after: float
    gain: float
    noise: float
    pace: float
    later: float

    @property
    def premature(self) -> bool:
        """Whether the loss was falling, gained no more than it fluctuates, and has halved its pace since."""
        falling = self.pace * _FEWEST > self.noise and self.pace > 0
        return falling and self.gain <= self.noise and self.later < _FLATTER * self.pace

    def __str__(self) -> str:
        return (
            f"the rate was cut from {self.before:.3g} to {self.after:.3g} at epoch {self.epoch} while the "
            f"loss was falling by {self.pace:.2g} an epoch; since then it falls by "
            f"{max(self.later, 0.0):.2g}: judged early, such a cut looks better than it ends"
        )


def cuts(history: History) -> Iterator[Cut]:
    """Yield the cuts of the rate in a training that have at least three epochs on each side.

    Example:
        >>> losses = [1.0, 0.9, 0.8, 0.7, 0.69, 0.68, 0.67]
        >>> rows = [{"lr": 0.1 if i < 4 else 0.01, "train_loss": loss} for i, loss in enumerate(losses)]
        >>> [(cut.epoch, cut.premature) for cut in cuts(History(rows))]
        [(5, True)]
    """
    rates = [_number(row.get("lr")) for row in history]
    losses = [_number(row.get("train_loss", row.get("train_loss_running"))) for row in history]
    places = [i for i in range(1, len(rates)) if rates[i] <= _HALF * rates[i - 1]]
    for k, place in enumerate(places):
        start = places[k - 1] if k else 0
        end = places[k + 1] if k + 1 < len(places) else len(rates)
        earlier = np.array(losses[max(start, place - _WINDOW) : place])
        later = np.array(losses[place : min(end, place + _WINDOW)])
        enough = min(len(earlier), len(later)) >= _FEWEST
        if enough and np.isfinite(earlier).all() and np.isfinite(later).all():
            slope, height = np.polyfit(np.arange(len(earlier)), earlier, 1)
            noise = float(np.abs(earlier - (height + slope * np.arange(len(earlier)))).max())
            gain = float(height + slope * len(earlier) - later[0])
            since = float(np.polyfit(np.arange(len(later)), later, 1)[0])
            yield Cut(place + 1, rates[place - 1], rates[place], gain, noise, -float(slope), -since)


def premature(history: History) -> tuple[str, ...]:
    """Return a sentence for each cut of the rate that came too early."""
    return tuple(str(cut) for cut in cuts(history) if cut.premature)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
