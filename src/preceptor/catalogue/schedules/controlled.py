"""The schedule that does what a person does who watches the error."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.schedules._make import KIND, SHAPES

__all__ = ["Controller", "controller"]

_WILD = 0.1  # a value this share above the best has risen, whatever the noise
_WINDING = 2.5  # the way that the error goes, in what it gains by that
_FEWEST = 3  # values on each side of a cut that tell whether it came too early


class Controller(LRScheduler):
    """Raises, lowers and cuts the rate by what the monitored value does, and notes why.

    Attributes:
        log: a dict for each decision: epoch, before, after, reason; ``premature`` where a cut came too early.
    """

    def __init__(
        self, optimizer: Optimizer, *, sign: float, patience: int, up: float, down: float, cut: float,
        slow: float, min_lr: float,
    ) -> None:  # fmt: skip
        self.sign, self.patience, self.up, self.down, self.cut = sign, patience, up, down, cut
        self.slow, self.min_lr = slow, min_lr
        self.scale, self.ceiling = 1.0, math.inf
        self.values: list[float] = []
        self.since = 0  # the place of the first value at the present rate
        self.log: list[dict[str, Any]] = []
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """Return the rate of each parameter group."""
        return [max(self.min_lr, float(base) * self.scale) for base in self.base_lrs]

    def step(self, value: Any = None) -> None:
        """Look at the value of the epoch that has ended, and set the rate of the next."""
        if value is not None:
            self.values.append(self.sign * float(value))
            self._look_back()
            self._decide(self.values[self.since :])
        self.last_epoch += 1
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def _decide(self, seen: list[float]) -> None:
        if not math.isfinite(seen[-1]):
            self._change(self.down, "the value is not finite")
        elif (
            len(seen) > 1
            and seen[-1] > min(seen) + _WILD * max(abs(min(seen)), 1e-12)
            and seen[-1] > seen[-2]
        ):
            self._change(self.down, "the error rises")
        elif len(seen) > self.patience:
            last = seen[-self.patience - 1 :]
            moves = [after - before for before, after in pairwise(last)]
            turns = sum(a * b < 0 for a, b in pairwise(moves))
            gain = last[0] - last[-1]
            if turns == len(moves) - 1 and len(moves) > 1 and sum(map(abs, moves)) > _WINDING * abs(gain):
                self._change(self.down, "the error oscillates")
            elif min(last[1:]) >= last[0]:
                self._change(self.cut, "the error has stopped falling")
            elif all(move < 0 for move in moves) and gain < self.slow * self.patience * abs(last[0]):
                self._change(self.up, "the error falls consistently, but slowly")

    def _change(self, factor: float, reason: str) -> None:
        before, after = self.scale, self.scale * factor
        if factor > 1:
            after = min(after, self.ceiling)
        else:
            self.ceiling = min(self.ceiling, before / self.up)  # what was too high is not tried again
        if after == before or self.get_lr()[0] <= self.min_lr:
            return
        base = float(self.base_lrs[0])
        self.scale, self.since = after, len(self.values)
        self.log.append(
            {"epoch": len(self.values), "before": base * before, "after": base * after, "reason": reason}
        )

    def _look_back(self) -> None:
        """Note a cut that came while the error was falling, gained nothing, and has slowed it down."""
        last = self.log[-1] if self.log else None
        if last is None or last["after"] >= last["before"] or len(self.values) != last["epoch"] + _FEWEST:
            return
        earlier, later = self.values[: last["epoch"]][-_FEWEST - 1 :], self.values[last["epoch"] :]
        moves = [b - a for a, b in pairwise(earlier)]
        if not moves or not all(map(math.isfinite, [*earlier, *later])):
            return
        noise = max(moves) - min(moves)
        pace, since = (earlier[0] - earlier[-1]) / len(moves), (later[0] - later[-1]) / (_FEWEST - 1)
        if pace > 0 and earlier[-1] - later[0] <= noise and since < pace / 2:
            last["premature"] = True


@registered(
    kind=KIND,
    name="controller",
    aliases=("lr-controller", "rule-based"),
    formula="lr ← up · lr when the monitored value fell in each of the last patience epochs, but by less "
    "than slow of itself an epoch; lr ← down · lr when it rises by a tenth, or turns at every epoch; "
    "lr ← cut · lr when it has not fallen for patience epochs; never again above a rate that was too high",
    shapes=SHAPES,
    when="the right rate is not known, and a person would sit beside it",
    pitfalls="a cut takes fluctuation away, which looks like progress at once and may cost it later: too "
    "small a patience cuts too early, which `log` marks as premature; patience must be smaller than early "
    "stopping's",
    source="Hinton, Srivastava and Swersky, Neural Networks for Machine Learning, lecture 6, 2012",
    example="""
        >>> optimizer = get('sgd', lr=1.0)([torch.zeros(1, requires_grad=True)])
        >>> schedule = get('controller', patience=2)(optimizer, total_steps=40, steps_per_epoch=10)
        >>> for value in (3.0, 2.0, 2.5):
        ...     schedule.step(value)
        >>> optimizer.param_groups[0]['lr'], schedule.log[0]['reason']
        (0.5, 'the error rises')
        """,
    traits={"metric": True},
)
def controller(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    mode: str = "min",
    patience: int = 5,
    up: float = 1.5,
    down: float = 0.5,
    cut: float = 0.1,
    slow: float = 0.01,
    min_lr: float = 0.0,
) -> Controller:
    """Raises a rate that is too low, lowers one that is too high, cuts where nothing moves, and says why."""
    owner = "controller"
    sign = 1.0 if check_choice(owner, "mode", mode, ("min", "max")) == "min" else -1.0
    return Controller(
        optimizer,
        sign=sign,
        patience=check_count(owner, "patience", patience),
        up=check_number(owner, "up", up, 1.0),
        down=check_number(owner, "down", down, 0.0, 1.0),
        cut=check_number(owner, "cut", cut, 0.0, 1.0),
        slow=check_number(owner, "slow", slow, 0.0),
        min_lr=check_number(owner, "min_lr", min_lr, 0.0),
    )
