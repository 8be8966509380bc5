"""Whether an optimizer that follows the curvature suits a training; where it does not, the reason is said."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue import Entry
from preceptor.data import generators
from preceptor.errors import ConfigError
from preceptor.training.feeds import Feeds
from preceptor.training.problem import Problem

__all__ = ["refuse_unsuitable"]


def refuse_unsuitable(entry: Entry, problem: Problem, feeds: Feeds) -> None:
    """Refuse an optimizer of second order where its steps would rest on a loss that is not the same twice.

    Model and loss are tried on a copy with a few examples; the generators are left as they were.

    Arguments:
        entry: the optimizer's; others than those of second order are let pass.
        problem: as built.
        feeds: the batches, with a sample.

    Raises:
        ConfigError: mini-batches, dropout, a loss without residuals, examples that depend on each other, or
            settings that such an optimizer cannot follow.
    """
    if not entry.traits.get("second_order"):
        return
    _refuse_mini_batches(entry, problem, feeds)
    _refuse_settings(entry, problem)
    before = generators.capture()
    try:
        _try(entry, problem, feeds)
    finally:
        generators.restore(before)


def _refuse_mini_batches(entry: Entry, problem: Problem, feeds: Feeds) -> None:
    batches = len(feeds.train)
    if batches > problem.grad_accumulation:
        raise ConfigError(
            f"{entry.name} compares losses at several points: they must be of the same examples",
            expected="the whole training set at every step",
            received=f"{batches} batches of {feeds.train.batch_size}, {problem.grad_accumulation} to a step",
            hint="batch_size='full', or adam for mini-batches",
        )


def _refuse_settings(entry: Entry, problem: Problem) -> None:
    if entry.traits["closure"] == "gradient":
        return
    for setting, value, expected in (
        ("max_grad_norm", problem.max_grad_norm, "none: its step does not follow the clipped gradient"),
        ("precision", None if problem.precision == "fp32" else problem.precision, "fp32"),
    ):
        if value is not None:
            raise ConfigError(
                f"{setting} does not go with {entry.name}",
                expected=f"{setting} {expected}",
                received=f"{setting}={value!r}",
            )


def _try(entry: Entry, problem: Problem, feeds: Feeds) -> None:
    x, y = feeds.sample
    model = copy.deepcopy(problem.model).train()
    with torch.no_grad():
        first, second = model(x), model(x)
        if not torch.equal(first, second):
            dropout = sorted({type(m).__name__ for m in model.modules() if isinstance(m, _DROPOUT)})
            raise ConfigError(
                f"{entry.name} needs a loss that is the same each time it is asked for",
                expected="a model without chance in training mode",
                received=", ".join(dropout) or "outputs that differ from call to call",
                hint="dropout 0 (weight decay or early stopping regularise as well), or adam",
            )
        least_squares = entry.traits.get("objective") == "least-squares"
        if entry.traits["closure"] != "residuals" and not least_squares:
            return
        _refuse_other_losses(entry, problem, first, y)
        if problem.heads:
            raise ConfigError(
                f"{entry.name} minimises the squares of one output",
                expected="a model without auxiliary heads",
                received="auxiliary heads, each with a loss of its own",
                hint="model.auxiliary=false, or adam",
            )
        if least_squares:
            _refuse_more_than_a_layer(entry, model)
        if isinstance(x, Tensor) and len(x) > 1:
            _refuse_mixing(entry, model, x, first)


def _refuse_other_losses(entry: Entry, problem: Problem, output: Tensor, y: Tensor) -> None:
    aligned: tuple[Any, Any] = problem.task.align(output, y)
    squares = (aligned[0] - aligned[1]).square() if aligned[0].shape == aligned[1].shape else None
    if squares is None or not torch.allclose(problem.criterion(*aligned), squares.mean(), rtol=1e-4):
        raise ConfigError(
            f"{entry.name} minimises a sum of squares, which this loss is not",
            expected="the loss mse: the mean of (output − target)²",
            received=f"the loss {problem.task.loss!r}",
            hint="loss='mse' for a regression; bfgs, l-bfgs or newton for other losses",
        )


def _refuse_more_than_a_layer(entry: Entry, model: nn.Module) -> None:
    layers = [
        type(m).__name__ for m in model.modules() if next(m.parameters(recurse=False), None) is not None
    ]
    if layers != ["Linear"]:
        raise ConfigError(
            f"{entry.name} solves for the weights of one linear layer",
            expected="the model linear",
            received=f"a model with {', '.join(layers) or 'no weights'}",
            hint="model='linear', or levenberg-marquardt for a network",
        )


def _refuse_mixing(entry: Entry, model: nn.Module, x: Tensor, together: Tensor) -> None:
    try:
        alone: Any = torch.cat([model(row[None]) for row in x])
    except (RuntimeError, ValueError):  # batch normalisation of one example has no variance
        alone = None
    if alone is None or not torch.allclose(alone, together, rtol=1e-3, atol=1e-5):
        raise ConfigError(
            f"{entry.name} needs a Jacobian example by example, and here examples depend on each other",
            expected="outputs that do not change with the other examples of a batch",
            received=", ".join(sorted({type(m).__name__ for m in model.modules() if isinstance(m, _NORMS)}))
            or "other outputs for an example alone",
            hint="layer or group normalisation in place of batch normalisation; or bfgs, newton",
        )


_DROPOUT = nn.modules.dropout._DropoutNd
_NORMS = nn.modules.batchnorm._BatchNorm
