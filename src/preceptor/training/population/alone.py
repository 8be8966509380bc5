"""A member that is trained by the loop, as `preceptor.train` would train it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from time import perf_counter
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.data import generators
from preceptor.errors import ConfigError
from preceptor.training.build import build, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.evaluate import evaluate
from preceptor.training.loop import fit
from preceptor.training.objects import Objects
from preceptor.training.own_code import name_of
from preceptor.training.population.members import Member
from preceptor.training.population.plans import Plan, Supply
from preceptor.training.problem import Predictor, Problem
from preceptor.training.state import State

__all__ = ["Alone", "own_objects", "predictor_of"]


def predictor_of(problem: Predictor, **changed: Any) -> Predictor:
    """Return of a problem what predicting needs, and nothing that training holds."""
    return Predictor(**{f.name: getattr(problem, f.name) for f in fields(Predictor)} | changed)


def own_objects(objects: Objects) -> Objects:
    """Return blocks made in code for one member: a module is copied, so that all begin alike.

    Raises:
        ConfigError: an optimizer or a schedule that is made already, which belongs to one model.
    """
    for kind, made in (("optimizer", Optimizer), ("schedule", LRScheduler)):
        given = getattr(objects, kind)
        if isinstance(given, made):
            raise ConfigError(
                f"one {kind} cannot serve several members",
                expected="its name, its class, or a function that makes it",
                received=name_of(given),
            )
    model = objects.model
    return replace(objects, model=copy.deepcopy(model) if isinstance(model, nn.Module) else model)


class Alone:
    """One member, trained step by step; it can pause after any epoch, and go on exactly.

    Arguments:
        plan: what it is to be.
        supply: feeds.
        objects: blocks made in code.
        keep_weights: whether predictor and weights are kept once it has ended.
        measure_start: whether what is measured before the first step is noted.
    """

    def __init__(
        self,
        plan: Plan,
        supply: Supply,
        objects: Objects,
        *,
        keep_weights: bool = True,
        measure_start: bool = False,
    ) -> None:
        self.plan, self.supply, self.objects = plan, supply, objects
        self.keep_weights, self.measure_start = keep_weights, measure_start
        self._problem: Problem | None = None
        self._snapshot: dict[str, Any] | None = None

    @property
    def member(self) -> Member:
        """The member."""
        return self.plan.member

    def advance(self, until: int | None, halt: Callable[[], bool]) -> bool:
        """Train to the end of epoch ``until``, or of training; say whether there is nothing left to do."""
        member, began = self.member, perf_counter()
        with (
            generators.seeded(member.experiment.seed),
            generators.deterministic(member.experiment.training.deterministic),
        ):
            problem = self._begin()
            settings = member.experiment.training
            goal = settings.epochs if until is None else min(until, settings.epochs)
            looking = _Looking(goal if goal < settings.epochs else None, halt)
            state = fit(
                problem,
                epochs=goal,
                patience=settings.patience,
                min_delta=settings.min_delta,
                restore_best=settings.restore_best,
                callbacks=[looking],
                resume=self._snapshot,
            )
        self._snapshot = looking.snapshot
        member.seconds += perf_counter() - began
        over = goal == settings.epochs or state.stop is not None
        self._note(state)
        if over:
            self._problem = self._snapshot = None
        return over

    def _begin(self) -> Problem:
        if self._problem is None:
            member = self.member
            feeds, experiment = self.supply(self.plan)
            own = own_objects(self.objects)
            self._problem, member.experiment = build(
                experiment, feeds, own, choose_device(experiment.training.device)
            )
            member.monitor, member.mode = self._problem.monitor, self._problem.mode
            if self.measure_start:
                member.start = _measured(self._problem)
        return self._problem

    def _note(self, state: State) -> None:
        member = self.member
        member.history, member.steps, member.stop = state.history, state.step, state.stop
        member.best, member.best_epoch = state.best, state.best_epoch
        if self.keep_weights:
            member.predictor = predictor_of(state.problem)
            member.last_weights = state.last_weights
            member.weights = state.best_weights or state.last_weights


def _measured(problem: Problem) -> dict[str, float]:
    """Return what is measured of a model as it is."""
    found: dict[str, float] = {}
    for part, batches in (("train", problem.probe), ("val", problem.val)):
        if batches is not None:
            found |= {f"{part}_{name}": value for name, value in evaluate(problem, batches).items()}
    return found


class _Looking(Callback):
    """Keeps where the training stands after an epoch, from which it goes on later; halts it on request."""

    order = 1_000

    def __init__(self, epoch: int | None, halt: Callable[[], bool]) -> None:
        self.epoch, self.halt = epoch, halt
        self.snapshot: dict[str, Any] | None = None

    def on_epoch_end(self, state: State) -> None:
        """Look at the end of an epoch."""
        if state.stop is None and self.halt():
            state.stop = "halted"
        if state.epoch == self.epoch and state.stop is None:
            self.snapshot = copy.deepcopy(state.snapshot())
