"""Short trainings for tests of rates: whole epochs, or so many batches of examples drawn for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from preceptor.errors import ConfigError
from preceptor.training.experiment import Experiment
from preceptor.training.objects import Objects
from preceptor.training.population.members import Engine, Member
from preceptor.training.population.rate_choice import Array
from preceptor.training.population.train import supply_for, train_members

__all__ = ["Passes", "Tell"]

_MOST = 500  # iterations of a training, where nothing else is asked for
Tell: TypeAlias = Callable[[str], None]


class Passes:
    """Short trainings of one experiment, at many rates or with other changes.

    Arguments:
        experiment: what they have in common.
        data, objects, engine: as of `train_members`.
        tell: hears what is being done.
        in_training: whether the loss on training examples is what is compared, in place of validation.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: Any,
        objects: Objects | None,
        engine: Engine,
        tell: Tell,
        *,
        in_training: bool = False,
    ) -> None:
        self.objects, self.engine, self.tell = objects or Objects(), engine, tell
        self.supply = supply_for(experiment, data, self.objects)
        feeds, _ = self.supply.shared(experiment)
        held_out = feeds.val is not None and not in_training
        self.monitor = "val_loss" if held_out else "train_loss"
        settings = {"training.monitor": self.monitor, "training.mode": "min", "training.patience": None}
        measured = {"training.train_examples": 0} if held_out else {}
        self.experiment = experiment.changed({**settings, **measured})
        self.examples, self.batch = feeds.examples, feeds.train.batch_size
        self.start = math.nan
        self.members: list[Member] = []

    def length(self, iterations: int | None) -> int:
        """Return the iterations of a training at full length."""
        whole = self._steps * self.experiment.training.epochs
        if iterations is not None:
            return iterations
        if whole <= _MOST or self._steps > _MOST:
            return min(whole, _MOST)
        return _MOST // self._steps * self._steps  # whole epochs

    @property
    def _steps(self) -> int:
        if self.examples is None:
            raise ConfigError(
                "a learning-rate test needs to know how many examples there are",
                expected="data in memory, by name, or a data set with a length",
                received="a stream of batches",
            )
        return -(-self.examples // self.batch)

    def losses(self, rates: Sequence[float], seeds: int, iterations: int) -> Array:
        """Return the best loss of a training at each rate with each seed, (R, S)."""
        self.tell(f"{len(rates)} rates × {seeds} seeds, {iterations} iterations each")
        first = self.experiment.seed
        pairs = [(rate, first + k) for rate in rates for k in range(seeds)]
        changes = [{"optimizer.lr": rate, "seed": seed} for rate, seed in pairs]
        members = self.train(changes, iterations)
        self.members += members
        starts = [member.start[self.monitor] for member in members if self.monitor in member.start]
        self.start = float(np.mean(starts)) if starts else math.nan
        values = [_best(member) for member in members]
        return np.array(values).reshape(len(rates), seeds)

    def train(self, changes: Sequence[dict[str, Any]], iterations: int) -> list[Member]:
        """Train with these changes, for so many iterations."""
        experiment, rows = self.experiment, None
        if iterations % self._steps:  # other examples, another part or order for each seed, are one epoch
            experiment = experiment.changed({"training.epochs": 1})
            rows = [self._drawn(int(change["seed"]), iterations) for change in changes]
        else:
            experiment = experiment.changed({"training.epochs": iterations // self._steps})
        return train_members(
            experiment,
            changes,
            data=self.supply,
            objects=self.objects,
            rows=rows,
            engine=self.engine,
            keep_weights=False,
            measure_start=True,
        )

    def _drawn(self, seed: int, iterations: int) -> Tensor:
        assert self.examples is not None  # noqa: S101 - asked for before
        generator, wanted = torch.Generator().manual_seed(seed), iterations * self.batch
        passes = -(-wanted // self.examples)
        drawn = [torch.randperm(self.examples, generator=generator) for _ in range(passes)]
        return torch.cat(drawn)[:wanted]


def _best(member: Member) -> float:
    return math.nan if member.stop == "diverged" or member.best is None else member.best
