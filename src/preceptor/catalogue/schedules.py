"""Schedules: how the learning rate changes over a run; stepped once after every optimizer step.

All but ``plateau`` are functions of the number of steps alone: a run that resumes needs nothing but that
number. An epoch counts in fractions: after half of its steps, half an epoch has passed.
"""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["constant", "cosine", "exponential", "inverse_time", "linear", "one_cycle", "plateau", "step"]

_KIND = "schedule"
_SHAPES = "multiplies the lr of every parameter group"
_BENGIO = "Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012"


def _show(name: str, rates: str, **options: object) -> str:
    """Return the example that prints the rate at the start of each of four epochs of ten steps."""
    chosen = "".join(f", {k}={v!r}" for k, v in options.items())
    return f"""
        >>> make = get({name!r}, kind='schedule'{chosen})
        >>> optimizer = get('sgd', lr=1.0)([torch.zeros(1, requires_grad=True)])
        >>> schedule = make(optimizer, total_steps=40, steps_per_epoch=10)
        >>> observed = []
        >>> for _ in range(40):
        ...     observed += schedule.get_last_lr()
        ...     _ = optimizer.step()
        ...     schedule.step()
        >>> [round(lr, 3) for lr in observed[::10]]
        {rates}
        """


def _constant(step: int) -> float:
    return 1.0


@registered(
    kind=_KIND,
    name="constant",
    aliases=("fixed",),
    formula="lr_t = lr",
    shapes=_SHAPES,
    when="first runs, and adaptive optimizers on small problems",
    pitfalls="the noise of mini-batches keeps the loss from settling",
    source="Robbins and Monro, A Stochastic Approximation Method, 1951",
    example=_show("constant", "[1.0, 1.0, 1.0, 1.0]"),
    traits={"constant": True},
)
def constant(optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """The same learning rate throughout."""
    return LambdaLR(optimizer, _constant)


def _step(step: int, steps: int, gamma: float) -> float:
    return float(gamma ** (step // steps))


@registered(
    kind=_KIND,
    name="step",
    aliases=("step-decay",),
    formula="lr_t = lr · gamma^⌊epoch / step_size⌋",
    shapes=_SHAPES,
    when="convolutional networks with known good epochs to drop the rate",
    pitfalls="step_size must suit the length of the run: with fewer epochs than that nothing happens",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012",
    differs="halves by default; torch's StepLR has gamma = 0.1",
    example=_show("step", "[1.0, 1.0, 0.5, 0.5]", step_size=2),
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
    kind=_KIND,
    name="exponential",
    aliases=("exponential-decay",),
    formula="lr_t = lr · gamma^epoch = lr · e^(−k · epoch), k = −log gamma",
    shapes=_SHAPES,
    when="a smooth fall over many orders of magnitude",
    pitfalls="the rates have a finite sum: with a small gamma training stops before it has arrived",
    source=_BENGIO,
    differs="falls within the epoch too; equals torch's ExponentialLR at the start of every epoch",
    example=_show("exponential", "[1.0, 0.95, 0.902, 0.857]"),
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
    kind=_KIND,
    name="inverse-time",
    aliases=("inverse-time-decay", "1/t"),
    formula="lr_t = lr / (1 + decay · epoch)",
    shapes=_SHAPES,
    when="plain SGD on convex problems, where it converges to the solution",
    pitfalls="very slow at the end",
    source="Robbins and Monro, A Stochastic Approximation Method, 1951",
    differs="falls within the epoch too, as Keras' InverseTimeDecay does without staircase; torch has none",
    example=_show("inverse-time", "[1.0, 0.667, 0.5, 0.4]", decay=0.5),
)
def inverse_time(
    optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int, decay: float = 0.1
) -> LambdaLR:
    """The learning rate over one plus a multiple of the time."""
    decay = check_number("inverse-time", "decay", decay, 0.0)
    return LambdaLR(optimizer, partial(_inverse_time, steps_per_epoch=steps_per_epoch, decay=decay))


def _warmup_steps(owner: str, warmup_epochs: float, total_steps: int, steps_per_epoch: int) -> int:
    steps = round(check_number(owner, "warmup_epochs", warmup_epochs, 0.0) * steps_per_epoch)
    if steps and steps >= total_steps:
        raise ConfigError(
            f"{owner}: the warm-up leaves nothing of the run",
            expected=f"warmup_epochs below {total_steps / steps_per_epoch:g}",
            received=f"warmup_epochs={warmup_epochs!r}",
            hint="train for more epochs, or warm up for fewer",
        )
    return steps


def _annealed(step: int, warmup: int, total_steps: int, end_ratio: float, shape: str) -> float:
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    falling = (1 + math.cos(math.pi * progress)) / 2 if shape == "cosine" else 1 - progress
    return end_ratio + (1 - end_ratio) * falling


def _anneal(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float, end_ratio: float, shape: str
) -> LambdaLR:
    return LambdaLR(
        optimizer,
        partial(
            _annealed,
            warmup=_warmup_steps(shape, warmup, total_steps, steps_per_epoch),
            total_steps=total_steps,
            end_ratio=check_number(shape, "end_ratio", end_ratio, 0.0, 1.0),
            shape=shape,
        ),
    )


@registered(
    kind=_KIND,
    name="cosine",
    aliases=("cosine-annealing", "cosine-decay"),
    formula="with w warm-up steps of T: lr · (t + 1)/w for t < w, then lr · [end_ratio + (1 − end_ratio) · ½ "
    "(1 + cos(π (t − w)/(T − w)))]",
    shapes=_SHAPES,
    when="the usual choice where the length of the run is known",
    pitfalls="a run that is stopped early never saw the small rates",
    source="Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017",
    differs="no restarts; warm-up included, which torch's CosineAnnealingLR leaves to a chain of schedules",
    example=_show("cosine", "[1.0, 0.854, 0.5, 0.146]"),
)
def cosine(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    end_ratio: float = 0.0,
) -> LambdaLR:
    """Half a cosine from the learning rate down to its end, after an optional linear warm-up."""
    return _anneal(optimizer, total_steps, steps_per_epoch, warmup_epochs, end_ratio, "cosine")


@registered(
    kind=_KIND,
    name="linear",
    aliases=("linear-decay",),
    formula="with w warm-up steps of T: lr · (t + 1)/w for t < w, then lr · [end_ratio + (1 − end_ratio) · "
    "(1 − (t − w)/(T − w))]; constant after T",
    shapes=_SHAPES,
    when="fine-tuning, short runs with a fixed budget",
    pitfalls="a run that is stopped early never saw the small rates",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.3.1",
    differs="falls to zero over the whole run; torch's LinearLR rises from a third within five steps by "
    "default",
    example=_show("linear", "[1.0, 0.75, 0.5, 0.25]"),
)
def linear(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    end_ratio: float = 0.0,
) -> LambdaLR:
    """A straight line from the learning rate down to its end, after an optional linear warm-up."""
    return _anneal(optimizer, total_steps, steps_per_epoch, warmup_epochs, end_ratio, "linear")


def _one_cycle(step: int, peak: float, last: int, start_ratio: float, end_ratio: float) -> float:
    if step < peak:
        low, high, share = start_ratio, 1.0, step / peak
    else:
        low, high, share = end_ratio, 1.0, 1 - min(1.0, (step - peak) / max(1e-9, last - peak))
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


@registered(
    kind=_KIND,
    name="one-cycle",
    aliases=("onecycle", "1cycle", "super-convergence"),
    formula="half a cosine from lr/div_factor up to lr at step p = pct_start · T − 1, then half a cosine "
    "down to lr/(div_factor · final_div_factor) at step T − 1",
    shapes=_SHAPES,
    when="short runs at a large rate",
    pitfalls="lr is the peak: take it from a range test, several times what a constant rate would be",
    source="Smith and Topin, Super-Convergence, 2018",
    differs="the rates of torch's OneCycleLR with max_lr = lr; the momentum is left alone",
    example=_show("one-cycle", "[0.04, 0.981, 0.766, 0.234]"),
)
def one_cycle(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> LambdaLR:
    """One rise to the learning rate and one long fall far below it."""
    share = check_number("one-cycle", "pct_start", pct_start, 0.0, 1.0)
    div = check_number("one-cycle", "div_factor", div_factor, 1.0)
    final = check_number("one-cycle", "final_div_factor", final_div_factor, 1.0)
    return LambdaLR(
        optimizer,
        partial(
            _one_cycle,
            peak=share * total_steps - 1,
            last=total_steps - 1,
            start_ratio=1 / div,
            end_ratio=1 / (div * final),
        ),
    )


@registered(
    kind=_KIND,
    name="plateau",
    aliases=("reduce-on-plateau", "reduce-lr-on-plateau"),
    formula="lr ← max(factor · lr, min_lr) when the monitored value has not improved by the share threshold "
    "for more than patience epochs",
    shapes=_SHAPES,
    when="the length of the run is open and a validation set is there",
    pitfalls="patience must be smaller than early stopping's, or it never acts; a noisy value triggers it "
    "early",
    source=_BENGIO,
    differs="factor 0.5 and patience 5; torch's ReduceLROnPlateau has 0.1 and 10",
    example="""
        >>> optimizer = get('sgd', lr=1.0)([torch.zeros(1, requires_grad=True)])
        >>> schedule = get('plateau', patience=1)(optimizer, total_steps=40, steps_per_epoch=10)
        >>> for value in (3.0, 3.0, 3.0):
        ...     schedule.step(value)
        >>> optimizer.param_groups[0]['lr']
        0.5
        """,
    traits={"metric": True},
)
def plateau(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    mode: str = "min",
    factor: float = 0.5,
    patience: int = 5,
    threshold: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> ReduceLROnPlateau:
    """The learning rate times factor whenever the monitored value stops improving; stepped once an epoch."""
    owner = "plateau"
    if factor == 1.0:
        raise ConfigError("plateau: factor is not usable", expected="a number below 1", received="factor=1.0")
    return ReduceLROnPlateau(
        optimizer,
        mode="min" if check_choice(owner, "mode", mode, ("min", "max")) == "min" else "max",
        factor=check_number(owner, "factor", factor, 0.0, 1.0),
        patience=check_count(owner, "patience", patience, 0),
        threshold=check_number(owner, "threshold", threshold, 0.0),
        cooldown=check_count(owner, "cooldown", cooldown, 0),
        min_lr=check_number(owner, "min_lr", min_lr, 0.0),
    )
