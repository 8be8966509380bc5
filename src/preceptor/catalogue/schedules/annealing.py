"""Schedules that know the length of the run, or of their cycles."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.schedules._make import KIND, SHAPES, show
from preceptor.errors import ConfigError

__all__ = ["cosine", "cosine_restarts", "cyclic", "linear", "one_cycle"]


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
    kind=KIND,
    name="cosine",
    aliases=("cosine-annealing", "cosine-decay"),
    formula="with w warm-up steps of T: lr · (t + 1)/w for t < w, then lr · [end_ratio + (1 − end_ratio) · ½ "
    "(1 + cos(π (t − w)/(T − w)))]",
    shapes=SHAPES,
    when="the usual choice where the length of the run is known",
    pitfalls="a run that is stopped early never saw the small rates",
    source="Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017",
    differs="no restarts; warm-up included, which torch's CosineAnnealingLR leaves to a chain of schedules",
    example=show("cosine", "[1.0, 0.854, 0.5, 0.146]"),
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
    kind=KIND,
    name="linear",
    aliases=("linear-decay", "linear-to-constant"),
    formula="with w warm-up steps of T: lr · (t + 1)/w for t < w, then lr · [end_ratio + (1 − end_ratio) · "
    "(1 − (t − w)/(T − w))]; constant after T, which is decay_epochs or the whole run",
    shapes=SHAPES,
    when="fine-tuning, short runs with a fixed budget",
    pitfalls="a run that is stopped early never saw the small rates",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.3.1",
    differs="falls to zero over the whole run; torch's LinearLR rises from a third within five steps by "
    "default",
    example=show("linear", "[1.0, 0.75, 0.5, 0.25]"),
)
def linear(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
    decay_epochs: float | None = None,
    end_ratio: float = 0.0,
) -> LambdaLR:
    """A straight line from the learning rate down to its end, after an optional linear warm-up."""
    steps = total_steps
    if decay_epochs is not None:
        steps = max(1, round(check_number("linear", "decay_epochs", decay_epochs, 0.0) * steps_per_epoch))
    return _anneal(optimizer, steps, steps_per_epoch, warmup_epochs, end_ratio, "linear")


def _one_cycle(step: int, peak: float, last: int, start_ratio: float, end_ratio: float) -> float:
    if step < peak:
        low, high, share = start_ratio, 1.0, step / peak
    else:
        low, high, share = end_ratio, 1.0, 1 - min(1.0, (step - peak) / max(1e-9, last - peak))
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


@registered(
    kind=KIND,
    name="one-cycle",
    aliases=("onecycle", "1cycle", "super-convergence"),
    formula="half a cosine from lr/div_factor up to lr at step p = pct_start · T − 1, then half a cosine "
    "down to lr/(div_factor · final_div_factor) at step T − 1",
    shapes=SHAPES,
    when="short runs at a large rate",
    pitfalls="lr is the peak: take it from a range test, several times what a constant rate would be",
    source="Smith and Topin, Super-Convergence, 2018",
    differs="the rates of torch's OneCycleLR with max_lr = lr; the momentum is left alone",
    example=show("one-cycle", "[0.04, 0.981, 0.766, 0.234]"),
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


def _cycle_steps(owner: str, cycle_epochs: float, steps_per_epoch: int) -> int:
    return max(1, round(check_number(owner, "cycle_epochs", cycle_epochs, 0.0) * steps_per_epoch))


def _restarting(step: int, length: int, growth: int, end_ratio: float) -> float:
    if growth == 1:
        step %= length
    while step >= length:
        step, length = step - length, length * growth
    return end_ratio + (1 - end_ratio) * (1 + math.cos(math.pi * step / length)) / 2


@registered(
    kind=KIND,
    name="cosine-restarts",
    aliases=("cosine-annealing-warm-restarts", "sgdr", "warm-restarts", "snapshot-schedule"),
    formula="within each cycle of C steps: lr · [end_ratio + (1 − end_ratio) · ½ (1 + cos(π t/C))]; then t = "
    "0 again, and C times growth",
    shapes=SHAPES,
    when="several solutions from one run: each end of a cycle is a snapshot worth keeping",
    pitfalls="right after a restart the loss is poor: stop, and keep weights, at the end of a cycle",
    source="Loshchilov and Hutter, SGDR, 2017; Huang et al., Snapshot Ensembles, 2017",
    differs="torch's CosineAnnealingWarmRestarts counts in calls; T_0 = cycle_epochs, T_mult = growth",
    example=show("cosine-restarts", "[1.0, 0.5, 1.0, 0.5]", cycle_epochs=2),
)
def cosine_restarts(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    cycle_epochs: float = 10.0,
    growth: int = 1,
    end_ratio: float = 0.0,
) -> LambdaLR:
    """Half a cosine from the learning rate down, again and again."""
    owner = "cosine-restarts"
    return LambdaLR(
        optimizer,
        partial(
            _restarting,
            length=_cycle_steps(owner, cycle_epochs, steps_per_epoch),
            growth=check_count(owner, "growth", growth),
            end_ratio=check_number(owner, "end_ratio", end_ratio, 0.0, 1.0),
        ),
    )


def _triangle(step: int, length: int, start_ratio: float, gamma: float) -> float:
    cycle, within = divmod(step, length)
    height = gamma**cycle * (1 - abs(2 * within / length - 1))
    return float(start_ratio + (1 - start_ratio) * height)


@registered(
    kind=KIND,
    name="cyclic",
    aliases=("triangular", "cyclical", "clr"),
    formula="within cycle c of C steps: lr · [start_ratio + (1 − start_ratio) · gammaᶜ · (1 − |2 t/C − 1|)]: "
    "up to lr and down again in straight lines",
    shapes=SHAPES,
    when="to visit several regions in one run; in place of a search for the rate",
    pitfalls="lr is the peak; measure at the end of a cycle, where the rate is least",
    source="Smith, Cyclical Learning Rates for Training Neural Networks, 2017",
    differs="torch's CyclicLR takes base_lr and max_lr: base_lr = start_ratio · lr; gamma = 0.5 is its "
    "'triangular2'; the momentum is left alone",
    example=show("cyclic", "[0.1, 1.0, 0.1, 1.0]", cycle_epochs=2),
)
def cyclic(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    cycle_epochs: float = 10.0,
    start_ratio: float = 0.1,
    gamma: float = 1.0,
) -> LambdaLR:
    """Straight up to the learning rate and down again, in cycles."""
    return LambdaLR(
        optimizer,
        partial(
            _triangle,
            length=_cycle_steps("cyclic", cycle_epochs, steps_per_epoch),
            start_ratio=check_number("cyclic", "start_ratio", start_ratio, 0.0, 1.0),
            gamma=check_number("cyclic", "gamma", gamma, 0.0, 1.0),
        ),
    )
