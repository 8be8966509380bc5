"""Which of the best trials wins: decided by further seeds, with intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from preceptor.search.journal import Trial, best_of, ranking
from preceptor.tasks import mean_interval

__all__ = ["Candidate", "Verdict", "decide", "finalists"]


@dataclass(frozen=True)
class Candidate:
    """One of the best trials, and what its repetitions came to.

    Attributes:
        number: of the trial.
        first: the value that it was chosen by: the best of many, and so better than it will be again.
        values: with new seeds; the same seeds for every candidate.
        behind: the interval of how much worse it is than the winner; None for the winner itself.
    """

    number: int
    first: float
    values: tuple[float, ...]
    behind: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """Over the new seeds; without any, the first value."""
        return statistics.fmean(self.values) if self.values else self.first

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of that mean."""
        return mean_interval(self.values)

    @property
    def told_apart(self) -> bool:
        """Whether it is worse than the winner beyond noise."""
        return self.behind is not None and self.behind[0] > 0

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "trial": self.number,
            "first": self.first,
            "values": list(self.values),
            "mean": self.mean,
            "interval": list(self.interval),
            "behind": list(self.behind) if self.behind else None,
        }


@dataclass(frozen=True)
class Verdict:
    """Which trial wins, and how sure that is.

    Attributes:
        candidates: the best trials, the winner first.
        seeds: how many new seeds each was trained with.
    """

    candidates: tuple[Candidate, ...]
    seeds: int

    @property
    def winner(self) -> int:
        """The number of the trial that wins."""
        return self.candidates[0].number

    @property
    def within_noise(self) -> tuple[int, ...]:
        """The trials that cannot be told from the winner."""
        return tuple(c.number for c in self.candidates[1:] if not c.told_apart)

    def __str__(self) -> str:
        if len(self.candidates) == 1:
            return f"trial {self.winner}: nothing to compare it with"
        if self.seeds < 2:
            return f"trial {self.winner} by a single seed: how much of that is luck is not known"
        over = f"over {self.seeds} new seeds"
        alike, others = self.within_noise, len(self.candidates) - 1 - len(self.within_noise)
        if not alike:
            beaten = _trials([c.number for c in self.candidates[1:]])
            return f"trial {self.winner} is better than {beaten} {over}"
        behind = f", and better than {others} more" if others else ""
        return (
            f"trial {self.winner} is within noise of {_trials(alike)} {over}{behind}: it need not be better"
        )

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "winner": self.winner,
            "within_noise": list(self.within_noise),
            "seeds": self.seeds,
            "candidates": [candidate.to_plain() for candidate in self.candidates],
            "text": str(self),
        }


def decide(trials: Sequence[Trial], repetitions: Sequence[Trial], mode: str) -> Verdict | None:
    """Return the verdict on some trials, by their repetitions; None where no trial has a value.

    Repetitions count by seeds that all candidates were trained with. What a trial was chosen by is left
    out: the best of many values is better than its trial. Candidate i is told from the winner where

        mean(d) − t · s(d) / √n > 0,  d = how much worse, seed by seed,

    at a level of 1 − 0.05 / (k − 1) for k candidates, two-sided: all comparisons together hold with 95 %.
    A candidate whose training came to nothing with a seed is worse beyond doubt.

    Example:
        >>> from preceptor.search.journal import Result
        >>> tried = [Trial(i, "random", {}, results=[Result(v)]) for i, v in enumerate((0.30, 0.31))]
        >>> again = [
        ...     Trial(2 + i, "again", {}, seed=i // 2, repeats=i % 2, results=[Result(v)])
        ...     for i, v in enumerate((0.32, 0.50, 0.33, 0.52, 0.31, 0.51))
        ... ]
        >>> str(decide(tried, again, "min"))
        'trial 0 is better than trial 1 over 3 new seeds'
    """
    first = best_of(trials, mode)
    if first is None:
        return None
    numbers = list(dict.fromkeys(t.repeats for t in repetitions if t.repeats is not None))
    if not numbers:
        return Verdict((Candidate(first.number, first.value or 0.0, ()),), 0)
    worst = math.inf if mode == "min" else -math.inf
    by_seed = {n: {t.seed: t.value for t in repetitions if t.repeats == n and not t.open} for n in numbers}
    seeds = sorted(set.intersection(*(set(found) for found in by_seed.values())))
    named = {trial.number: trial for trial in trials}
    candidates = [
        Candidate(n, named[n].value or 0.0, tuple(_or(by_seed[n][seed], worst) for seed in seeds))
        for n in numbers
    ]
    sign = 1.0 if mode == "min" else -1.0
    candidates.sort(key=lambda c: (sign * c.mean, c.number))
    winner, *others = candidates
    level = 1 - 0.05 / max(1, len(others))
    compared = [
        Candidate(c.number, c.first, c.values, _behind(c.values, winner.values, sign, level)) for c in others
    ]
    return Verdict((winner, *compared), len(seeds))


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _behind(
    values: Sequence[float], winner: Sequence[float], sign: float, level: float
) -> tuple[float, float]:
    if not all(map(math.isfinite, values)):
        return (math.inf, math.inf) if all(map(math.isfinite, winner)) else (-math.inf, math.inf)
    return mean_interval([sign * (v - w) for v, w in zip(values, winner, strict=True)], level)


def finalists(trials: Sequence[Trial], count: int, mode: str) -> list[Trial]:
    """Return the trials that are worth another look, the best first."""
    return ranking([trial for trial in trials if trial.repeats is None], mode)[:count]


def _trials(numbers: Sequence[int]) -> str:
    *rest, last = map(str, numbers)
    return f"trial {last}" if not rest else f"trials {', '.join(rest)} and {last}"
