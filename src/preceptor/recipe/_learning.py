"""Short trainings of copies: whether some examples can be learnt, and how soon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import nn

from preceptor.data import generators
from preceptor.recipe import _trees as trees
from preceptor.recipe.subject import Subject
from preceptor.training.evaluate import evaluation

__all__ = ["RATES", "Learnt", "held_out_loss", "learn", "solve"]

RATES = (3e-3, 3e-4, 3e-2)
"""Adam's rates, tried in this order: whether a network can learn must not hang on the rate."""

_EVERY = 10  # steps between looks in evaluation mode
_SMALL = 100  # examples: of more, looks are rarer
_LEAST = 20  # steps in any case, however little time there is
_LOOKS = 5  # of others on the way


@dataclass
class Learnt:
    """What came of a short training.

    Attributes:
        model: as it was left.
        reached: whether the loss came down to the goal.
        loss: the lowest that was seen, in training or evaluation mode.
        steps: of the attempt that is told of.
        lr: its rate.
        in_time: whether all attempts could be made.
    """

    model: nn.Module
    reached: bool
    loss: float
    steps: int
    lr: float
    in_time: bool = True


def learn(
    subject: Subject,
    x: Any,
    y: Any,
    *,
    goal: float,
    steps: int,
    seconds: float,
    rates: Sequence[float] | None = None,
    batch_size: int | None = None,
    look: Callable[[nn.Module], object] | None = None,
) -> Learnt:
    """Train copies of the model by Adam until the loss on these examples comes down to the goal.

    Measured is the loss of all of them, as training sees it and in evaluation mode; the better one counts,
    for dropout disturbs the one and normalisation, which has seen few batches, the other.

    Arguments:
        subject: model and loss.
        x: inputs of the examples.
        y: their targets.
        goal: the loss that is enough.
        steps: of each attempt at most.
        seconds: for all attempts together.
        rates: of the attempts; default: `RATES`, what has been seen to learn first.
        batch_size: examples a step; default: all.
        look: is given the model some times on the way, in place of looks for the goal.
    """
    known = RATES if subject.lr is None else (subject.lr, *(lr for lr in RATES if lr != subject.lr))
    until = monotonic() + min(seconds, max(subject.left, 0.0))
    best: Learnt | None = None
    for lr in rates or known:
        with generators.seeded(subject.seed):
            attempt = _Attempt(subject, x, y, goal, steps, until, lr, batch_size, look)
            found = attempt.made()
        if best is None or found.reached or found.loss < best.loss:
            best = found
        best.in_time = found.in_time
        if found.reached:
            subject.lr = lr
        if found.reached or not found.in_time:
            break
    assert best is not None  # noqa: S101 - there is at least one rate
    return best


@dataclass
class _Attempt:
    """One short training."""

    subject: Subject
    x: Any
    y: Any
    goal: float
    steps: int
    until: float
    lr: float
    size: int | None
    look: Callable[[nn.Module], object] | None

    def made(self) -> Learnt:
        """Train, and return what came of it."""
        model = self.subject.copy()
        learning = [p for p in model.parameters() if p.requires_grad]
        found = Learnt(model, False, math.inf, 0, self.lr)
        if not learning:
            return found
        optimizer = torch.optim.Adam(learning, lr=self.lr)
        whole = self.size is None or self.size >= trees.size(self.x)
        for step, (x, y) in enumerate(_batches(self.x, self.y, self.size, self.steps)):
            if step > _LEAST and monotonic() > self.until:
                found.in_time = False
                break
            loss = self.subject.loss(_forward(model, x), y)
            value = float(loss.detach())
            if not math.isfinite(value) or not loss.requires_grad:
                break
            found.steps, found.loss = step, min(found.loss, value) if whole else found.loss
            if found.loss <= self.goal:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.steps = step + 1
            if self._looks(found):
                break
        found.reached = found.loss <= self.goal
        return found

    def _looks(self, found: Learnt) -> bool:
        """Look at the model, if it is time; say whether the goal is reached."""
        if self.look is not None:
            if found.steps % max(1, self.steps // _LOOKS) == 0:
                self.look(found.model)
            return False
        if found.steps % (_EVERY if trees.size(self.x) <= _SMALL else 5 * _EVERY) == 0:
            found.loss = min(found.loss, held_out_loss(self.subject, found.model, self.x, self.y))
        return found.loss <= self.goal


def solve(subject: Subject, x: Any, y: Any, *, goal: float, iterations: int = 200) -> Learnt:
    """Bring the loss of a linear network on some examples down by L-BFGS.

    How soon first-order steps get there hangs on the condition of the inputs; whether there are such weights
    does not.
    """
    model = subject.copy()
    optimizer = torch.optim.LBFGS(
        [p for p in model.parameters() if p.requires_grad], max_iter=iterations, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        value = subject.loss(model(x), y)
        value.backward()
        return float(value.detach())

    optimizer.step(closure)
    loss = held_out_loss(subject, model, x, y)
    return Learnt(model, loss <= goal, loss, iterations, subject.lr or RATES[0])


def _batches(x: Any, y: Any, size: int | None, steps: int) -> Iterator[tuple[Any, Any]]:
    """Yield all examples again and again, or batches of one size, in a new order each pass."""
    count = trees.size(x)
    if size is None or size >= count:
        for _ in range(steps):
            yield x, y
        return
    left = steps
    while left > 0:
        order = torch.randperm(count).to(trees.tensors(x)[0].device)
        for which in order[: count - count % size].split(size)[:left]:
            yield trees.rows(x, which), trees.rows(y, which)
        left -= count // size


def _forward(model: nn.Module, x: Any) -> Any:
    """Return the outputs in training mode; of a single value normalisation has no spread, and is fixed."""
    try:
        return model(x)
    except ValueError as error:
        if "more than 1 value" not in str(error):
            raise
        for module in model.modules():
            if hasattr(module, "running_mean") or "norm" in type(module).__name__.lower():
                module.eval()
        return model(x)


def held_out_loss(subject: Subject, model: nn.Module, x: Any, y: Any) -> float:
    """Return the loss of some examples in evaluation mode; infinity where it is no number."""
    with evaluation(model):
        value = float(subject.loss(model(x), y))
    return value if math.isfinite(value) else math.inf
