"""The schedule that follows what is measured."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.schedules._make import BENGIO, KIND, SHAPES
from preceptor.errors import ConfigError

__all__ = ["plateau"]


@registered(
    kind=KIND,
    name="plateau",
    aliases=("reduce-on-plateau", "reduce-lr-on-plateau"),
    formula="lr ← max(factor · lr, min_lr) when the monitored value has not improved by the share threshold "
    "for more than patience epochs",
    shapes=SHAPES,
    when="the length of the run is open and a validation set is there",
    pitfalls="patience must be smaller than early stopping's, or it never acts; a noisy value triggers it "
    "early",
    source=BENGIO,
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
