"""The outcome of a trial: pairs of trainings that differ by one change, and whether it helped."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import Any

from preceptor.errors import ConfigError
from preceptor.trials.change import Change

__all__ = ["MEASURES", "Measure", "Trial", "interval"]

# 97.5 % points of Student's t with n degrees of freedom, n = 1 … 9 (R. A. Fisher's table).
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_FEWEST = 3  # pairs: with two, an interval says nothing


@dataclass(frozen=True)
class Measure:
    """What both twins are judged by.

    Arguments:
        name: as a person reads it.
        higher: whether more is better.
        least: the smallest difference that matters.
        relative: whether differences are relative to the larger of both values: losses have any scale.
    """

    name: str
    higher: bool
    least: float
    relative: bool = False


MEASURES = {
    "accuracy": Measure("accuracy", True, 0.02),
    "explained": Measure("explained variance", True, 0.02),
    "loss": Measure("loss", False, 0.05, relative=True),
}
"""Measures by id."""


@dataclass(frozen=True)
class Trial:
    """What pairs of twins showed: one as the program had it, one with a change, all else equal.

    With dᵢ = changedᵢ − baselineᵢ, signed so that more is better (for losses divided by the larger of both,
    so that −1 ≤ dᵢ ≤ 1), over n pairs the change *improved* where

        all dᵢ > 0,  n ≥ 3,  mean(d) ≥ least,  and mean(d) − t₍n−1, 0.975₎ · s(d) / √n > 0.

    For a change without effect this happens in at most 2.5 % of trials (dᵢ normal, one side of 95 %).

    Arguments:
        changes: what was changed; usually one.
        measure: an id in `MEASURES`.
        baseline: the unchanged twin's value in each pair.
        changed: the changed twin's.
        steps: training steps of each twin.
        judged_on: what the values were measured on, in words.
        given: changes that both twins had: faults that hide one another are removed one by one.
        original: the values of the program as it is, where ``given`` is not known to help: what both twins
            had might have made the fault that the change then mends. By the same rule the change must be
            better than these, too.

    Raises:
        ConfigError: numbers of values that do not agree, or no such measure.

    Example:
        >>> trial = Trial((Change("lr", 1.0, 0.1),), "accuracy", (0.1, 0.12, 0.1), (0.8, 0.85, 0.82), 200)
        >>> trial.improved, trial.pairs
        (True, 3)
        >>> print(trial)
        lr 1 → 0.1: accuracy after 200 steps 0.107 → 0.823 (3 pairs, all better; 95 % interval 0.68 … 0.75)
    """

    changes: tuple[Change, ...]
    measure: str
    baseline: tuple[float, ...]
    changed: tuple[float, ...]
    steps: int
    judged_on: str = ""
    given: tuple[Change, ...] = ()
    original: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.measure not in MEASURES or len(self.baseline) != len(self.changed) or not self.baseline:
            raise ConfigError(
                "a trial has pairs of values",
                expected=f"as many values for each twin, of {', '.join(MEASURES)}",
                received=f"{len(self.baseline)} and {len(self.changed)} of {self.measure}",
            )

    @property
    def pairs(self) -> int:
        """How many pairs were trained."""
        return len(self.baseline)

    @property
    def differences(self) -> tuple[float, ...]:
        """What each pair gained: positive where the change is better."""
        measure = MEASURES[self.measure]
        gain = _share if measure.relative else _difference
        sign = 1.0 if measure.higher else -1.0
        return tuple(sign * gain(a, b) for a, b in zip(self.baseline, self.changed, strict=True))

    @property
    def effect(self) -> float:
        """The mean of what the pairs gained."""
        return statistics.fmean(self.differences)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean gain."""
        return interval(self.differences)

    @property
    def improved(self) -> bool:
        """Whether the change helped, by the rule above."""
        if self.original and not replace(self, baseline=self.original, original=()).improved:
            return False
        better = all(difference > 0 for difference in self.differences)
        enough = self.effect >= MEASURES[self.measure].least
        return better and enough and self.pairs >= _FEWEST and self.interval[0] > 0

    def __str__(self) -> str:
        what = _joined(self.changes) + (f", given {_joined(self.given)}" if self.given else "")
        measure = MEASURES[self.measure]
        on = f" on {self.judged_on}" if self.judged_on else ""
        before, after = (f"{_middle(values):.3g}" for values in (self.baseline, self.changed))
        return f"{what}: {measure.name}{on} after {_count(self.steps)} {before} → {after} ({self._said()})"

    def _said(self) -> str:
        better = sum(difference > 0 for difference in self.differences)
        if not self.improved:
            worse = sum(difference < 0 for difference in self.differences)
            pairs = f"{self.pairs} pair{'s' if self.pairs > 1 else ''}"
            if worse == self.pairs:
                return f"{pairs}, {'all ' if worse > 1 else ''}worse"
            return f"{pairs}, {better} better: no clear effect"
        low, high = self.interval
        said = f"{self.pairs} pairs, all better; 95 % interval"
        if MEASURES[self.measure].relative:
            return f"{said} {low:.0%} … {min(high, 1.0):.0%} less"
        return f"{said} {low:.2g} … {high:.2g}"

    def to_plain(self) -> dict[str, Any]:
        """Return it as findings hold it under ``verification``."""
        low, high = self.interval
        return {
            "improved": self.improved,
            "change": [change.to_plain() for change in self.changes],
            "given": [change.to_plain() for change in self.given],
            "measure": MEASURES[self.measure].name,
            "baseline": _plain(_middle(self.baseline)),
            "changed": _plain(_middle(self.changed)),
            "original": _plain(_middle(self.original)) if self.original else None,
            "interval": [_plain(low), _plain(high)],
            "steps": self.steps,
            "pairs": self.pairs,
            "judged_on": self.judged_on,
            "text": str(self),
        }


def interval(differences: tuple[float, ...]) -> tuple[float, float]:
    """Return the 95 % interval of a mean by Student's t: mean ± t₍n−1₎ s / √n; infinite for one value.

    Example:
        >>> low, high = interval((1.0, 2.0, 3.0))
        >>> round(low, 2), round(high, 2)
        (-0.48, 4.48)
    """
    n = len(differences)
    if n < 2 or not all(math.isfinite(d) for d in differences):
        return -math.inf, math.inf
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    points = _STUDENT[n - 2] if n - 2 < len(_STUDENT) else 1.96 + 2.4 / (n - 1)
    half = points * spread / math.sqrt(n)
    return mean - half, mean + half


def _difference(before: float, after: float) -> float:
    return after - before


def _share(before: float, after: float) -> float:
    """The difference as a share of the larger one; what is not finite is larger than any that is."""
    if not math.isfinite(before) or not math.isfinite(after):
        return float(math.isfinite(before)) - float(math.isfinite(after))
    return (after - before) / max(abs(before), abs(after), 1e-300)


def _joined(changes: tuple[Change, ...]) -> str:
    return " and ".join(str(change) for change in changes)


def _count(steps: int) -> str:
    return f"{steps:,} step" + ("" if steps == 1 else "s")


def _middle(values: tuple[float, ...]) -> float:
    return statistics.fmean(values)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
