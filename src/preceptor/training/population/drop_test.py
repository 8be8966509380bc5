"""Whether the loss drops within a hundred iterations, and at which rate and decay it drops furthest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from preceptor.training.experiment import Experiment
from preceptor.training.objects import Objects
from preceptor.training.population.members import Engine, Member
from preceptor.training.population.rate_test import check_sizes
from preceptor.training.population.short_runs import Passes, Tell

__all__ = ["DECAYS", "DROP", "RATES", "DropTest", "Tried", "find_drop"]

RATES = (1e-1, 1e-2, 1e-3, 1e-4)
DECAYS = (1e-4, 1e-5, 0.0)
DROP = 0.1
"""The share of the first loss by which a loss that drops has fallen."""


@dataclass(frozen=True)
class Tried:
    """One rate with one weight decay.

    Attributes:
        lr, weight_decay: what was tried.
        before, after: the training loss before the first step and after the last, the mean over the seeds;
            NaN where a training diverged.
        error: the standard error of the loss after, over the seeds; NaN for one seed.
    """

    lr: float
    weight_decay: float
    before: float
    after: float
    error: float

    @property
    def drop(self) -> float:
        """The share of the loss that is gone."""
        return 1 - self.after / self.before

    @property
    def word(self) -> str:
        """What became of it."""
        if not math.isfinite(self.after):
            return "diverges"
        return "drops" if self.drop > DROP else "no drop"


@dataclass(frozen=True)
class DropTest:
    """What a drop test found.

    Attributes:
        tried: every pair of rate and decay.
        iterations: optimizer steps of each training.
        seeds: trainings of each pair.
        engine: how they were trained, and ``why``.
    """

    tried: tuple[Tried, ...]
    iterations: int
    seeds: int
    engine: str
    why: str

    @property
    def chosen(self) -> Tried | None:
        """The pair whose loss drops furthest; None where none drops."""
        dropping = [one for one in self.tried if one.word == "drops"]
        return min(dropping, key=lambda one: one.after) if dropping else None

    def table(self) -> list[tuple[str, ...]]:
        """Return a row for each pair: rate, decay, the two losses, the drop, what became of it."""
        return [
            (
                f"{one.lr:.0e}",
                f"{one.weight_decay:g}",
                f"{one.before:.4g}",
                f"{one.after:.4g}" if math.isfinite(one.after) else "–",
                f"{one.drop:.0%}" if math.isfinite(one.after) else "–",
                one.word + (" ← chosen" if one is self.chosen else ""),
            )
            for one in self.tried
        ]

    def __str__(self) -> str:
        """Say what was found, in a sentence."""
        best = self.chosen
        if best is None:
            return f"at no rate does the loss drop by a tenth within {self.iterations} iterations"
        return (
            f"lr {best.lr:.0e} with weight decay {best.weight_decay:g}: the loss drops by {best.drop:.0%} "
            f"within {self.iterations} iterations"
        )


def find_drop(
    experiment: Experiment,
    *,
    data: Any = None,
    objects: Objects | None = None,
    rates: Sequence[float] = RATES,
    decays: Sequence[float] = DECAYS,
    iterations: int = 100,
    seeds: int = 3,
    engine: Engine = "auto",
    tell: Tell | None = None,
) -> DropTest:
    """Train for a hundred iterations at each rate with each weight decay, from the same first weights.

    Arguments:
        experiment: everything but rate and decay.
        data: whatever `preceptor.train` takes; default: the experiment's source.
        objects: blocks made in code; a module is copied, its own weights are left alone.
        rates: learning rates.
        decays: the optimizer's weight decays.
        iterations: optimizer steps of each training.
        seeds: trainings of each pair; they count from the experiment's seed.
        engine: as in `train_members`.
        tell: hears what is being done.

    Raises:
        ConfigError: numbers that are not usable, or an optimizer without one of the two settings.
    """
    check_sizes(rates, seeds, iterations, fewest=1)
    short = Passes(experiment, data, objects, engine, tell or (lambda text: None), in_training=True)
    pairs = list(product(rates, decays))
    changes = [
        {"optimizer.lr": lr, "optimizer.weight_decay": decay, "seed": experiment.seed + k}
        for lr, decay in pairs
        for k in range(seeds)
    ]
    short.tell(f"{len(rates)} rates × {len(decays)} decays × {seeds} seeds, {iterations} iterations each")
    members = short.train(changes, iterations)
    tried = tuple(_tried(pair, members[at * seeds : (at + 1) * seeds]) for at, pair in enumerate(pairs))
    return DropTest(tried, iterations, seeds, members[-1].engine, members[-1].why)


def _tried(pair: tuple[float, float], members: Sequence[Member]) -> Tried:
    before = [member.start["train_loss"] for member in members]
    after = [
        math.nan if member.stop == "diverged" else float(member.history[-1, "train_loss"])
        for member in members
    ]
    error = float(np.std(after, ddof=1)) / math.sqrt(len(after)) if len(after) > 1 else math.nan
    return Tried(*pair, float(np.mean(before)), float(np.mean(after)), error)
