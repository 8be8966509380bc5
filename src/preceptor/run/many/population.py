"""`train_population`: one experiment with many changes or seeds, and the `Population` that comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

from preceptor.errors import ConfigError
from preceptor.run._run import Run
from preceptor.run._sort import sort_blocks
from preceptor.training.experiment import Experiment
from preceptor.training.objects import Objects
from preceptor.training.own_code import import_model, is_own_code
from preceptor.training.population import Engine, Member, spelled_out, train_members
from preceptor.training.population.plans import Plan, Supply
from preceptor.training.population.train import supply_for
from preceptor.training.problem import Problem
from preceptor.training.state import State

__all__ = ["Population", "asked_of_members", "train_population"]


@dataclass(frozen=True)
class Population:
    """Several trainings that were asked for together.

    Attributes:
        members: in the order of the changes.
        supply: where their examples come from.
    """

    members: tuple[Member, ...]
    supply: Supply

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __getitem__(self, index: int) -> Member:
        return self.members[index]

    @property
    def best(self) -> Member:
        """The member with the best monitored value.

        Raises:
            ConfigError: none has one.
        """
        able = [member for member in self.members if member.best is not None]
        if not able:
            raise ConfigError("no member came to an end of an epoch", expected="one that does not diverge")
        sign = 1 if able[0].mode == "min" else -1
        return min(able, key=lambda member: sign * cast(float, member.best))

    @property
    def seconds(self) -> float:
        """The seconds that all of them took."""
        return sum(member.seconds for member in self.members)

    @property
    def runs(self) -> list[Run]:
        """Each member as a `Run`, to predict with, to measure and to report; failed ones are left out."""
        return [self.run(member.index) for member in self.members if member.predictor is not None]

    def run(self, index: int) -> Run:
        """Return one member as a `Run`, with its best weights.

        Raises:
            ConfigError: it failed, or its weights were not kept.
        """
        member = self.members[index]
        if member.predictor is None:
            raise ConfigError(
                f"member {index} has no network", expected="one that was trained", received=member.status
            )
        feeds, _ = self.supply(Plan(member))
        state = State(cast(Problem, member.predictor), member.experiment.training.epochs)
        state.history, state.epoch, state.step = member.history, len(member.history), member.steps
        state.best, state.best_epoch, state.stop = member.best, member.best_epoch, member.stop
        state.best_weights, state.last_weights = member.weights, member.last_weights
        return Run(
            experiment=member.experiment,
            predictor=member.predictor,
            feeds=feeds,
            prepared=self.supply.prepared,
            chosen=set(member.change),
            state=state,
        )

    def table(self) -> list[tuple[str, ...]]:
        """Return a row a member: what it has of its own, its best value, the epoch, how it ended.

        The last column says how it was trained.
        """
        return [
            (
                str(member.index),
                ", ".join(f"{key.rpartition('.')[2]}={_shown(v)}" for key, v in member.change.items()),
                "–" if member.best is None else f"{member.best:.4g}",
                "–" if member.best_epoch is None else str(member.best_epoch),
                member.status,
                member.engine,
            )
            for member in self.members
        ]

    def __str__(self) -> str:
        """Return the table as text, and why members were trained as they were."""
        from preceptor.report.terminal import table

        monitor = self.members[0].monitor if self.members else "value"
        lines = [table(self.table(), ("member", "change", monitor, "epoch", "status", "engine"))]
        return "\n".join([*lines, *dict.fromkeys(member.why for member in self.members if member.why)])


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def train_population(
    model: Any = None,
    data: Any = None,
    *,
    members: Sequence[Mapping[str, Any]] | None = None,
    seeds: Iterable[int] | None = None,
    engine: Engine = "auto",
    target: str | None = None,
    loss: Any = None,
    optimizer: Any = None,
    schedule: Any = None,
    lr: float | None = None,
    epochs: int | None = None,
    batch_size: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    experiment: Experiment | None = None,
    on_end: Callable[[Member], None] | None = None,
) -> Population:
    """Train many networks at once: one experiment with several changes, several seeds, or both.

    Members that share an architecture learn in one step where a few timed steps show that to be faster;
    others are trained one after another. Either way each comes to what `preceptor.train` comes to alone, up
    to rounding (and to what dropout draws). Nothing is written, and nobody looks on.

    Arguments:
        model: as in `preceptor.train`.
        data: as in `preceptor.train`.
        members: what each has of its own: ``[{"lr": 1e-2}, {"lr": 1e-3, "hidden": [64]}]``.
        seeds: each change is trained with each of them; without changes they are all that differs.
        engine: ``"auto"``, ``"sequential"``, ``"vmapped"`` or ``"batched"``.
        target: the column to predict, where the data are a table.
        loss: as in `preceptor.train`, and so the next five.
        optimizer: a name, or what makes one.
        schedule: a name.
        lr: the learning rate.
        epochs: at most so many.
        batch_size: examples a batch.
        settings: further settings by dotted key.
        experiment: settings to start from.
        on_end: hears of each member once it has ended.

    Returns:
        The members with their histories, weights and a table.

    Raises:
        PreceptorError: something does not fit; the message says what was expected, received, and what to try.

    Example:
        >>> population = train_population("mlp", "iris", members=[{"lr": 1e-2}, {"lr": 1e-4}], epochs=5)
        >>> len(population), population.best.change
        (2, {'optimizer.lr': 0.01})
    """
    base, objects = asked_of_members(
        model, data,
        {"loss": loss, "optimizer": optimizer, "schedule": schedule},
        {"data.target": target, "lr": lr, "epochs": epochs, "batch_size": batch_size},
        settings, experiment,
    )  # fmt: skip
    changes = [dict(change) for change in members or ({},)]
    if seeds is not None:
        changes = [{**change, "seed": seed} for change, seed in product(changes, list(seeds))]
    if not changes or not (members or seeds is not None):
        raise ConfigError(
            "there are no members",
            expected='members=[{"lr": 1e-2}, …] or seeds=range(8)',
            received=f"members={members!r}, seeds={seeds!r}",
        )
    supply = supply_for(base, data, objects)
    made = train_members(base, changes, data=supply, objects=objects, engine=engine, on_end=on_end)
    return Population(tuple(made), supply)


def asked_of_members(
    model: Any,
    data: Any,
    blocks: Mapping[str, Any],
    given: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
    experiment: Experiment | None,
) -> tuple[Experiment, Objects]:
    """Return what all members have in common: settings, and what was made in code.

    Arguments:
        model: a name, a module, or what makes one.
        data: whatever `preceptor.train` takes.
        blocks: loss, optimizer and schedule, by name or made in code.
        given: settings, in short or by dotted key; None: not given.
        settings: further ones, of which None may be the value.
        experiment: settings to start from.

    Raises:
        ConfigError: something that is not usable.
    """
    objects, named = sort_blocks({"model": model, **blocks})
    if isinstance(model, str) and is_own_code(model):
        objects.model = import_model(model)
    named_so = {key: value for key, value in given.items() if value is not None}
    chosen = spelled_out({**named_so, **(settings or {})})
    if isinstance(data, str | Path):
        chosen["data.source"] = str(data)
    return (experiment or Experiment()).changed({**named, **chosen}), objects
