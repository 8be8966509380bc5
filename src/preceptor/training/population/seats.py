"""What a member brings to a step that it shares: its first weights, its numbers, its schedule, its order."""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from preceptor import catalogue
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.objects import Objects
from preceptor.training.optimization import make_optimizer, make_schedule
from preceptor.training.own_code import make_model
from preceptor.training.population.alone import own_objects
from preceptor.training.population.plans import Plan
from preceptor.training.problem import Problem
from preceptor.training.settings import Block

__all__ = ["Orders", "Seat", "take_seat"]

_OWN = ("epochs", "patience", "min_delta", "max_grad_norm", "restore_best")


@dataclass
class Seat:
    """One member of a step.

    Attributes:
        plan: what it is to be.
        experiment: its settings, with everything decided.
        model: with its first weights.
        criterion: its loss.
        optimizer: holds its numbers; it takes no steps.
        scheduler: its schedule over that optimizer; None where the rate is constant.
        when: what the schedule follows, "step" or "metric".
    """

    plan: Plan
    experiment: Experiment
    model: nn.Module
    criterion: Any
    optimizer: Optimizer
    scheduler: Any
    when: str

    def rates(self, first: int, steps: int) -> list[float]:
        """Return the learning rates of the next steps, counted from 0, and move the schedule past them."""
        group = self.optimizer.param_groups[0]
        if self.scheduler is None or self.when != "step":
            return [float(group["lr"])] * steps
        if type(self.scheduler) is LambdaLR:  # it is a function of the step
            base, factor = self.scheduler.base_lrs[0], self.scheduler.lr_lambdas[0]
            return [float(base * factor(t)) for t in range(first, first + steps)]
        made = []
        for _ in range(steps):
            made.append(float(group["lr"]))
            with warnings.catch_warnings():  # the steps are taken elsewhere, which torch cannot see
                warnings.simplefilter("ignore", UserWarning)
                self.scheduler.step()
        return made


def take_seat(
    plan: Plan, problem: Problem, decided: Experiment, feeds: Feeds, objects: Objects, *, steps: int
) -> Seat:
    """Make what a member brings, as `build` makes it for a training alone; moves the global generators.

    Arguments:
        plan: what the member is to be.
        problem: that of another member of the group, as built.
        decided: that one's settings, with everything decided.
        feeds: batches that the group has in common.
        objects: blocks made in code.
        steps: to an epoch.

    Raises:
        PreceptorError: a number or a schedule of this member is not usable.
    """
    experiment = plan.experiment
    own = own_objects(objects)
    _seed(experiment.seed)
    model = _model(experiment, decided, problem, feeds, own).to(problem.device)
    optimizer, optimizer_block = make_optimizer(experiment, own, model, None)
    scheduler, when, schedule_block = make_schedule(experiment, own, optimizer, steps, problem.mode)
    criterion, loss_block = problem.criterion, decided.loss
    if "label_smoothing" in experiment.loss.options:
        entry = catalogue.entry(problem.task.loss, "loss")
        made = entry.build(**entry.options(**experiment.loss.options))
        criterion = copy.copy(criterion)
        criterion.label_smoothing = made.label_smoothing  # type: ignore[attr-defined]  # of a cross-entropy
        loss_block = Block(**{**loss_block.model_dump(), "label_smoothing": made.label_smoothing})
    blocks = {"optimizer": optimizer_block, "schedule": schedule_block, "loss": loss_block}
    if "dropout" in decided.model.options:
        dropout = experiment.model.options.get("dropout", _default_dropout(decided.model.name))
        blocks["model"] = Block(**{**decided.model.model_dump(), "dropout": dropout})
    return Seat(plan, _settled(experiment, decided, blocks), model, criterion, optimizer, scheduler, when)


def _seed(seed: int) -> None:
    """Seed the global generators, as `generators.seeded` does, but for the GPUs', which are slow."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def _model(
    experiment: Experiment, decided: Experiment, problem: Problem, feeds: Feeds, objects: Objects
) -> nn.Module:
    if objects.model is not None:
        return make_model(objects.model, experiment.model.options)
    entry = catalogue.entry(decided.model.name, "architecture")
    options = {**decided.model.options, **experiment.model.options}
    if "dropout" in options:
        options["dropout"] = experiment.model.options.get("dropout", _default_dropout(decided.model.name))
    model: nn.Module = entry.build(feeds.signature.input_shape, problem.task.outputs, **options)
    return model


@cache
def _default_dropout(model: str) -> Any:
    found = catalogue.find(model, "architecture")
    return found[0].defaults.get("dropout") if found else None


def _settled(experiment: Experiment, decided: Experiment, blocks: dict[str, Block]) -> Experiment:
    """Return the member's settings with everything decided: its own where it has them."""
    own = {key: getattr(experiment.training, key) for key in _OWN}
    return decided.model_copy(
        update={
            "seed": experiment.seed,
            "name": decided.name if experiment.name == "auto" else experiment.name,
            "training": decided.training.model_copy(update=own),
            "data": decided.data.model_copy(update={"bag": experiment.data.bag}),
            **blocks,
        }
    )


class Orders:
    """The order in which each member sees its examples: that of a training alone with its seed.

    Arguments:
        seeds: of the members.
        rows: the examples of each, as places in the data; None: all.
        examples: how many each has.
        batch: how many to a step.
        device: where the data lie.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        rows: Sequence[Tensor | None],
        examples: int,
        batch: int,
        device: torch.device,
    ) -> None:
        self.examples, self.batch, self.device = examples, batch, device
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._rows = list(rows)

    def __len__(self) -> int:
        """Return the number of steps to an epoch."""
        return math.ceil(self.examples / self.batch)

    def epoch(self) -> list[Tensor]:
        """Draw the order of the next epoch; return for each step the places (M, B)."""
        drawn = []
        for generator, rows in zip(self._generators, self._rows, strict=True):
            order = torch.randperm(self.examples, generator=generator)
            drawn.append(order if rows is None else rows.cpu()[order])
        stacked = torch.stack(drawn).to(self.device)
        return [places.contiguous() for places in stacked.split(self.batch, 1)]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the members."""
        self._generators = [self._generators[row] for row in rows]
        self._rows = [self._rows[row] for row in rows]
