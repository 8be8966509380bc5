"""`train_members`: one experiment, many changes of it; those that can learn in one step do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from preceptor.errors import ConfigError, DataError
from preceptor.training.experiment import Experiment
from preceptor.training.inputs import Inputs
from preceptor.training.objects import Objects
from preceptor.training.own_code import is_own_code
from preceptor.training.population.members import ENGINES, Engine, Member
from preceptor.training.population.plans import Supply, groups, planned
from preceptor.training.population.teams import Team, Wishes

__all__ = ["Prune", "supply_for", "train_members"]

Prune = Callable[[int, Mapping[int, float]], Collection[int]]


def train_members(
    experiment: Experiment,
    changes: Sequence[Mapping[str, Any]],
    *,
    data: Any = None,
    objects: Objects | None = None,
    rows: Sequence[Tensor | None] | None = None,
    engine: Engine = "auto",
    rungs: Sequence[int] = (),
    prune: Prune | None = None,
    halt: Callable[[], bool] | None = None,
    on_end: Callable[[Member], None] | None = None,
    errors: Literal["raise", "keep"] = "raise",
    keep_weights: bool = True,
    measure_start: bool = False,
) -> list[Member]:
    """Train the experiment once with each change, many at a time where that is possible and faster.

    A member is trained as `preceptor.train` trains alone with the same settings: from the same first
    weights, over the same examples in the same order; its numbers agree up to rounding. Only what is drawn
    within a step (dropout) differs. Nothing is written, the test set is not touched, nobody looks on.

    Arguments:
        experiment: what all members have in common.
        changes: what each has of its own, by dotted key, or in short: ``{"lr": 1e-2, "seed": 3}``.
        data: whatever `preceptor.train` takes, `Inputs`, or a `Supply`; default: the experiment's source.
        objects: blocks made in code; a module is copied, so that each member begins with its weights.
        rows: for each member the training examples that it learns from, as places in the training part,
            repeated ones as often as they stand there; None: all.
        engine: "sequential", "vmapped" (torch.func.vmap), "batched" (kernels over all members: dense and
            simple convolutional networks), or "auto": whichever a few timed steps show to be fastest.
        rungs: epochs after which ``prune`` is asked.
        prune: given an epoch and, by index, the best monitored value of each member that is still training,
            returns those that shall stop there.
        halt: asked after every epoch; once it says so, all members end as they are.
        on_end: hears of each member once it has ended.
        errors: "keep" notes what makes a member impossible in `Member.error`, and trains the others.
        keep_weights: False leaves predictor and weights out, to save memory.
        measure_start: note in `Member.start` what is measured before the first step.

    Returns:
        a member for each change, in their order.

    Raises:
        ConfigError: an engine or a change that is not usable, or an engine that this network cannot use;
            the message says why, and that the sequential one can.
        PreceptorError: a member cannot be trained (with ``errors="raise"``).

    Example:
        >>> base = Experiment.of({"model": "mlp", "training.epochs": 2})
        >>> members = train_members(base, [{"seed": 0}, {"seed": 1, "lr": 1e-2}], data="iris")
        >>> [len(member.history) for member in members]
        [2, 2]
    """
    if engine not in ENGINES:
        raise ConfigError("no such engine", expected=", ".join(ENGINES), received=repr(engine))
    objects = objects or Objects()
    plans = planned(experiment, changes, rows, errors)
    supply = supply_for(experiment, data, objects)
    wishes = Wishes(engine, errors, keep_weights, measure_start)
    able = [plan for plan in plans if plan.member.error is None]
    crews = [Team(group, supply, objects, wishes) for group in groups(able)]
    tell = on_end or _nothing
    for plan in plans:
        if plan.member.error is not None:
            tell(plan.member)
    asked = _Halt(halt)
    for rung in sorted(set(rungs)) if prune is not None else ():
        _advance(crews, rung, asked, tell)
        values = {
            member.index: member.best for crew in crews for member in crew.training if member.best is not None
        }
        if prune is not None and values and not asked():
            dropped = prune(rung, values)
            for crew in crews:
                _each(crew.drop(dropped, "pruned"), tell)
    _advance(crews, None, asked, tell)
    return [plan.member for plan in plans]


class _Halt:
    """What ends all: the caller's wish, or an interruption of one."""

    def __init__(self, wish: Callable[[], bool] | None) -> None:
        self.wish, self.interrupted = wish, False

    def __call__(self) -> bool:
        return self.interrupted or (self.wish is not None and self.wish())


def _advance(crews: Sequence[Team], until: int | None, halt: _Halt, tell: Callable[[Member], None]) -> None:
    for crew in crews:
        crew.advance(until, halt, tell)


def _each(members: Sequence[Member], tell: Callable[[Member], None]) -> None:
    for member in members:
        tell(member)


def _nothing(member: Member) -> None:
    pass


def supply_for(experiment: Experiment, data: Any, objects: Objects) -> Supply:
    """Return feeds for members from whatever a caller gives as data.

    Raises:
        DataError: nothing is given, and the experiment names no source.
    """
    if isinstance(data, Supply):
        return data
    if isinstance(data, Inputs):
        return Supply(data)
    own = objects.model is not None or is_own_code(experiment.model.name)
    if data is None and experiment.data.source in ("arrays", "auto", "DataLoader"):
        raise DataError(
            "no data were given",
            expected="a built-in set's name, a file, a folder, (x, y), a Dataset or a DataLoader",
            received="nothing",
            hint='data="digits"',
        )
    return Supply(Inputs(experiment.data.source if data is None else data, own_model=own))
