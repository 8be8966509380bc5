"""What keeps members from learning in one step: the reason, in words."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from preceptor.data.batches import TensorBatches
from preceptor.training.experiment import Experiment
from preceptor.training.named import beside_the_loss
from preceptor.training.objects import Objects
from preceptor.training.population.rules import RULES
from preceptor.training.problem import Problem

__all__ = ["hindrance"]


def hindrance(problem: Problem, experiment: Experiment, objects: Objects) -> str | None:
    """Return why members cannot learn in one step, the first reason found; None where they can."""
    return next(_hindrances(problem, experiment, objects), None)


def _hindrances(problem: Problem, experiment: Experiment, objects: Objects) -> Iterator[str]:
    if type(problem.train) is not TensorBatches:
        yield "the batches do not come from examples in memory alone"
    if problem.transfer is not None:
        yield "weights are taken over or frozen"
    if names := beside_the_loss(experiment):
        yield f"{', '.join(names)} acts within the step"
    if problem.regularization or problem.augment or problem.tiling or problem.heads:
        yield "more than the loss acts within the step"
    if problem.grad_accumulation > 1:
        yield "several batches make a step"
    if problem.precision != "fp32" or problem.compiled is not None:
        yield "it is computed in half precision, or compiled"
    if objects.schedule is not None:
        yield "the schedule was made in code"
    yield from _of_weights(problem)
    yield from _of_optimizer(problem)


def _of_weights(problem: Problem) -> Iterator[str]:
    weights = list(problem.model.parameters())
    if not all(w.requires_grad for w in weights):
        yield "some weights do not learn"
    if any(w.dtype != torch.float32 for w in weights):
        yield "the weights are not float32"


def _of_optimizer(problem: Problem) -> Iterator[str]:
    optimizer = problem.optimizer
    known = ", ".join(sorted(cls.__name__ for cls in RULES))
    if type(optimizer) not in RULES:
        yield f"the optimizer {type(optimizer).__name__} is none of {known}"
        return
    group = optimizer.param_groups[0]
    if len(optimizer.param_groups) > 1:
        yield "layers have rates of their own"
    if group.get("maximize") or group.get("dampening") or isinstance(group["lr"], torch.Tensor):
        yield "the optimizer has options that are not known here"
