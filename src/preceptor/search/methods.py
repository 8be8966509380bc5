"""How the next trial is chosen: a grid, at random, by successive halving, or with other seeds.

A method is a pure function of what was tried before: begun again after a crash, it proposes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from preceptor.catalogue.procedures import successive_halving
from preceptor.search.journal import Trial, ranking
from preceptor.search.space import Point, Space

__all__ = ["Further", "Grid", "Halving", "Method", "Proposal", "RandomSearch", "Repeats"]

_TRIES = 1000  # draws until a point that was tried already is looked for in the whole space
_ENUMERABLE = 100_000


@dataclass(frozen=True)
class Proposal:
    """A new trial.

    Attributes:
        settings: a value for each hyperparameter of the method's space.
        epochs: how far it is trained; None: to its end.
        seed: of its training; None: the experiment's own.
        repeats: the trial that it repeats.
        token: what the method knows it by.
    """

    settings: Point
    epochs: int | None = None
    seed: int | None = None
    repeats: int | None = None
    token: str = ""


@dataclass(frozen=True)
class Further:
    """A trial that is trained on, from where it stands, to a number of epochs; None: to its end."""

    number: int
    epochs: int | None


class Method(Protocol):
    """What proposes trials."""

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | Further | None:
        """Return what is to be done next; None where there is nothing, or nothing until others have ended."""

    def tell(self, trial: Trial) -> None:
        """Hear of a trial that has ended."""


class _Quiet:
    def tell(self, trial: Trial) -> None:
        """Nothing is kept: all that is needed comes with `next`."""


@dataclass
class RandomSearch(_Quiet):
    """Points drawn at random, each hyperparameter by itself, none twice.

    Trial k is drawn by a generator of its own, seeded with (seed, k).

    Source:
        Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.

    Example:
        >>> method = RandomSearch(Space.parse(["lr=log:1e-4..1e-1"]), trials=2)
        >>> method.next([], "min") == method.next([], "min")
        True
    """

    space: Space
    trials: int | None = None
    seed: tuple[int, ...] = (0,)

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | None:
        """Return the next point; None where there are enough, or no others."""
        point = self.point(trials) if self.trials is None or len(trials) < self.trials else None
        return None if point is None else Proposal(point)

    def point(self, trials: Sequence[Trial]) -> Point | None:
        """Return a point that none of these trials had."""
        seen = {_name(trial.settings, self.space) for trial in trials}
        if len(seen) >= self.space.size:
            return None
        generator = np.random.default_rng([*self.seed, len(trials)])
        for _ in range(_TRIES):
            point = self.space.sample(generator)
            if _name(point, self.space) not in seen:
                return point
        if self.space.size > _ENUMERABLE:
            return point
        return next(p for p in self.space.grid(_ENUMERABLE) if _name(p, self.space) not in seen)


class Grid(_Quiet):
    """Every combination of values, in order; where trials are fewer, as many of them, picked at random.

    Example:
        >>> method = Grid(Space.parse(["lr=log:1e-3..1e-1:3", "hidden=64|128"]))
        >>> len(method.points), method.points[0]
        (6, {'optimizer.lr': 0.001, 'model.hidden': 64})
    """

    def __init__(self, space: Space, trials: int | None = None, seed: tuple[int, ...] = (0,)) -> None:
        self.points = space.grid(space.points_for(trials))
        self.whole = trials is None or len(self.points) <= trials
        if not self.whole:
            order = np.random.default_rng(seed).permutation(len(self.points))[:trials]
            self.points = [self.points[i] for i in order]

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | None:
        """Return the next point of the grid."""
        return Proposal(self.points[len(trials)]) if len(trials) < len(self.points) else None


class Halving(_Quiet):
    """Successive halving: many trials a little, the best of them on and on, from where they stand.

    Of n trials, trained to ε_max / η^s epochs with s = ⌊log_η n⌋, the best ⌊n/η⌋ go on to η times as
    many, and so on until those that are left are trained to their end. The schedule of a trial is that of
    the whole training from its first step, so that going on is the same as never having paused.

    Arguments:
        space: what is searched.
        trials: n.
        epochs: ε_max, of a whole training.
        eta: η, one in how many goes on.
        seed: of the points.

    Source:
        Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016.

    Example:
        >>> Halving(Space.parse(["lr=log:1e-4..1e-1"]), trials=27, epochs=81).rungs
        ((3, 27), (9, 9), (27, 3), (81, 1))
    """

    def __init__(
        self, space: Space, trials: int, epochs: int, *, eta: int = 3, seed: tuple[int, ...] = (0,)
    ) -> None:
        self.rungs = successive_halving(eta)(trials, epochs)
        self._points = RandomSearch(space, trials, seed)

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | Further | None:
        """Return a new trial of the first rung, or one that goes on to the next."""
        first = self._points.next(trials, mode)
        if first is not None:
            return Proposal(first.settings, epochs=self._until(0))
        alive = list(trials)
        for rung in range(len(self.rungs) - 1):
            if not all(_reached(trial, rung) for trial in alive):
                return None
            best = ranking([_at(trial, rung) for trial in alive], mode)[: self.rungs[rung + 1][1]]
            alive = [next(t for t in alive if t.number == one.number) for one in best]
            waiting = next((t for t in alive if not t.open and not _reached(t, rung + 1)), None)
            if waiting is not None:
                return Further(waiting.number, self._until(rung + 1))
        return None

    def _until(self, rung: int) -> int | None:
        return None if rung == len(self.rungs) - 1 else self.rungs[rung][0]


@dataclass
class Repeats(_Quiet):
    """The best trials again, with other seeds: all of them with the first, then all with the second.

    Attributes:
        trials: those that are repeated.
        seeds: the new seeds.
    """

    trials: Sequence[Trial]
    seeds: Sequence[int]

    def next(self, trials: Sequence[Trial], mode: str) -> Proposal | None:
        """Return the first repetition that is missing."""
        there = {(trial.seed, trial.repeats) for trial in trials}
        for seed in self.seeds:
            for trial in self.trials:
                if (seed, trial.number) not in there:
                    return Proposal(trial.settings, seed=seed, repeats=trial.number)
        return None


def _reached(trial: Trial, rung: int) -> bool:
    """Whether a trial has been trained up to a rung, or has ended before."""
    if trial.open or trial.result is None:
        return False
    return len(trial.results) > rung or trial.result.status != "paused"


def _at(trial: Trial, rung: int) -> Trial:
    """Return a trial as it stood at a rung."""
    return Trial(trial.number, trial.stage, trial.settings, results=trial.results[: rung + 1])


def _name(point: Point, space: Space) -> tuple[Any, ...]:
    return tuple(repr(point.get(key)) for key in space.keys)
