"""Schedules that fall without knowing how long the run will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.schedules._make import BENGIO, KIND, SHAPES, show
from preceptor.errors import ConfigError

__all__ = [
    "constant",
    "exponential",
    "inverse_square_root",
    "inverse_time",
    "manual",
    "natural_exponential",
    "step",
]

_ROBBINS = "Robbins and Monro, A Stochastic Approximation Method, 1951"


def _constant(step: int) -> float:
    return 1.0


@registered(
    kind=KIND,
    name="constant",
    aliases=("fixed",),
    formula="lr_t = lr",
    shapes=SHAPES,
    when="first runs, and adaptive optimizers on small problems",
    pitfalls="the noise of mini-batches keeps the loss from settling",
    source=_ROBBINS,
    example=show("constant", "[1.0, 1.0, 1.0, 1.0]"),
    traits={"constant": True},
)
def constant(optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """The same learning rate throughout."""
    return LambdaLR(optimizer, _constant)


def _step(step: int, steps: int, gamma: float) -> float:
    return float(gamma ** (step // steps))


@registered(
    kind=KIND,
    name="step",
    aliases=("step-decay", "staircase"),
    formula="lr_t = lr · gamma^⌊epoch / step_size⌋",
    shapes=SHAPES,
    when="convolutional networks with known good epochs to drop the rate",
    pitfalls="step_size must suit the length of the run: with fewer epochs than that nothing happens",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012",
    differs="halves by default; torch's StepLR has gamma = 0.1",
    example=show("step", "[1.0, 1.0, 0.5, 0.5]", step_size=2),
)
def step(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int, step_size: int = 10, gamma: float = 0.5
) -> LambdaLR:
    """The learning rate times gamma every few epochs."""
    steps = steps_per_epoch * check_count("step", "step_size", step_size)
    return LambdaLR(
        optimizer, partial(_step, steps=steps, gamma=check_number("step", "gamma", gamma, 0.0, 1.0))
    )


def _exponential(step: int, steps_per_epoch: int, gamma: float) -> float:
    return float(gamma ** (step / steps_per_epoch))


@registered(
    kind=KIND,
    name="exponential",
    aliases=("exponential-decay", "exponential-base", "exp-base"),
    formula="lr_t = lr · gamma^epoch; as lr · e^(−k · epoch), k = −log gamma, it is natural-exponential",
    shapes=SHAPES,
    when="a smooth fall over many orders of magnitude",
    pitfalls="the rates have a finite sum: with a small gamma training stops before it has arrived",
    source=BENGIO,
    differs="falls within the epoch too; equals torch's ExponentialLR at the start of every epoch",
    example=show("exponential", "[1.0, 0.95, 0.902, 0.857]"),
)
def exponential(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int, gamma: float = 0.95
) -> LambdaLR:
    """The learning rate times gamma per epoch, continuously."""
    gamma = check_number("exponential", "gamma", gamma, 0.0, 1.0)
    return LambdaLR(optimizer, partial(_exponential, steps_per_epoch=steps_per_epoch, gamma=gamma))


def _inverse_time(step: int, steps_per_epoch: int, decay: float) -> float:
    return 1.0 / (1.0 + decay * step / steps_per_epoch)


@registered(
    kind=KIND,
    name="inverse-time",
    aliases=("inverse-time-decay", "1/t", "one-over-t"),
    formula="lr_t = lr / (1 + decay · epoch)",
    shapes=SHAPES,
    when="plain SGD on convex problems, where it converges to the solution",
    pitfalls="very slow at the end",
    source=_ROBBINS,
    differs="falls within the epoch too, as Keras' InverseTimeDecay does without staircase; torch has none",
    example=show("inverse-time", "[1.0, 0.667, 0.5, 0.4]", decay=0.5),
)
def inverse_time(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int, decay: float = 0.1
) -> LambdaLR:
    """The learning rate over one plus a multiple of the time."""
    decay = check_number("inverse-time", "decay", decay, 0.0)
    return LambdaLR(optimizer, partial(_inverse_time, steps_per_epoch=steps_per_epoch, decay=decay))


@registered(
    kind=KIND,
    name="natural-exponential",
    aliases=("natural-exp", "exponential-e", "exp-e"),
    formula="lr_t = lr · e^(−decay · epoch); the exponential schedule with gamma = e^(−decay)",
    shapes=SHAPES,
    when="as exponential, where the fall is given as a rate per epoch",
    pitfalls="the rates have a finite sum: with a large decay training stops before it has arrived",
    source=BENGIO,
    differs="falls within the epoch too; TensorFlow's natural_exp_decay counts in steps",
    example=show("natural-exponential", "[1.0, 0.905, 0.819, 0.741]", decay=0.1),
)
def natural_exponential(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int, decay: float = 0.05
) -> LambdaLR:
    """The learning rate times e to the minus decay per epoch, continuously."""
    gamma = math.exp(-check_number("natural-exponential", "decay", decay, 0.0))
    return LambdaLR(optimizer, partial(_exponential, steps_per_epoch=steps_per_epoch, gamma=gamma))


def _inverse_square_root(step: int, steps_per_epoch: int) -> float:
    return 1.0 if step < steps_per_epoch else (steps_per_epoch / step) ** 0.5


@registered(
    kind=KIND,
    name="inverse-square-root",
    aliases=("inverse-sqrt", "sqrt-decay", "rsqrt"),
    formula="lr_t = lr / √max(1, epoch): lr itself during the first epoch, where 1/√epoch has no value",
    shapes=SHAPES,
    when="runs of unknown length, at the rate that averaged SGD asks for",
    pitfalls="the squares of the rates have no finite sum: the noise of mini-batches dies down slowly, and "
    "without averaging not for certain",
    source="Nemirovski, Juditsky, Lan and Shapiro, Robust Stochastic Approximation, 2009",
    differs="torch has none; the Transformer's counts in steps after a warm-up",
    example=show("inverse-square-root", "[1.0, 1.0, 0.707, 0.577]"),
)
def inverse_square_root(optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """The learning rate over the root of the epoch."""
    return LambdaLR(optimizer, partial(_inverse_square_root, steps_per_epoch=steps_per_epoch))


def _manual(step: int, starts: tuple[int, ...], factors: tuple[float, ...]) -> float:
    factor = 1.0
    for start, given in zip(starts, factors, strict=True):
        if step >= start:
            factor = given
    return factor


def _table(rates: Any) -> list[tuple[float, float]]:
    pairs = list(rates.items()) if isinstance(rates, Mapping) else rates
    try:
        table = sorted((float(epoch), float(rate)) for epoch, rate in pairs)
    except (TypeError, ValueError):
        table = []
    usable = all(0 <= epoch < math.inf and 0 <= rate < math.inf for epoch, rate in table)
    if not table or not usable or len({epoch for epoch, _ in table}) < len(table):
        raise ConfigError(
            "manual: rates is not usable",
            expected="a learning rate for each of some epochs, [[0, 0.1], [10, 0.01]] or {0: 0.1, 10: 0.01}",
            received=f"rates={rates!r}",
        )
    return table


@registered(
    kind=KIND,
    name="manual",
    aliases=("table", "piecewise-constant", "multi-step"),
    formula="lr_t = the rate of the latest epoch in the table that has come; before the first of them the "
    "optimizer's lr",
    shapes="sets the lr of the first parameter group; the others keep their ratio to it",
    when="a known recipe: these epochs, these rates",
    pitfalls="the rates take the place of the optimizer's lr",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012, section 5",
    differs="torch's MultiStepLR takes epochs and one factor; here every epoch has a rate of its own",
    example=show("manual", "[1.0, 0.3, 0.3, 0.02]", rates=[[1, 0.3], [3, 0.02]]),
)
def manual(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    rates: Any = ((0, 0.1), (5, 0.01), (10, 0.001)),
) -> LambdaLR:
    """A learning rate by table: from each given epoch on, the given rate."""
    table, lr = _table(rates), float(optimizer.param_groups[0]["lr"])
    if lr <= 0:
        raise ConfigError(
            "manual: rates need an optimizer whose lr is not zero",
            expected="lr above 0",
            received=f"lr={lr!r}",
        )
    starts = tuple(round(epoch * steps_per_epoch) for epoch, _ in table)
    factors = tuple(rate / lr for _, rate in table)
    return LambdaLR(optimizer, partial(_manual, starts=starts, factors=factors))
