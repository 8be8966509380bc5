"""One twin: trained on a copy of what was seen for a number of steps, then judged."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from preceptor.observation.rerun import undisturbed
from preceptor.trials.setup import Group, Setup, quiet
from preceptor.trials.yardstick import Yardstick

__all__ = ["Twin", "seconds_per_step"]

_TIMED, _TIME_TO_MEASURE = 5, 0.1  # steps; seconds
_LATE = 5  # steps in a row without a finite loss, after which it cannot come back


class Twin:
    """A training of its own: parameters copied, an optimizer of the same class, the same examples.

    Two twins with the same seed have the same split, the same batches and the same random numbers.

    Arguments:
        setup: what is trained, and how.
        seed: of the split, the batches and everything that the step draws.
    """

    def __init__(self, setup: Setup, seed: int) -> None:
        self.setup, self.seed = setup, seed
        generator = torch.Generator().manual_seed(seed)
        self.places, self.held = setup.rows.split(generator)
        self.batches = setup.rows.draw(self.places, generator)
        self.parameters = {cell: tensor.detach().clone() for cell, tensor in setup.initial.items()}
        for cell, tensor in self.parameters.items():
            wanted = setup.rerun.parameters[cell].requires_grad or cell in setup.unfrozen
            tensor.requires_grad_(wanted and tensor.is_floating_point())
        self.optimizer = _optimizer(setup.kind, setup.groups, self.parameters)
        self._rates = [group.get("lr") for group in self.optimizer.param_groups] if self.optimizer else []
        self.losses: list[float] = []

    def train(self, steps: int, until: float = math.inf) -> int:
        """Make so many steps, or fewer where time runs out; return how many."""
        made = 0
        with seeded(self.seed):
            for step in range(steps):
                if perf_counter() > until or self._hopeless():
                    break
                self._step(step)
                made += 1
        return made

    def judge(self, yardstick: Yardstick | None = None) -> float:
        """Return the value of a yardstick, the training's own if none is given, on what was held out."""
        setup = self.setup
        yardstick = yardstick or setup.yardstick
        edits = {**setup.edits, **quiet(setup.rerun)}
        pairs: list[tuple[Tensor, Tensor]] = []
        losses: list[float] = []
        with seeded(self.seed + 1), torch.no_grad():
            for batch in setup.rows.judging(self.held):
                cells: dict[int, Tensor] = {}
                loss = setup.rerun.run(self.parameters, batch, edits=edits, environment=cells)
                losses.append(float(loss) * setup.scale)
                if yardstick.measure != "loss":
                    pairs.append((cells[yardstick.prediction], cells[yardstick.target]))
        return yardstick.read(pairs, losses)

    def _step(self, step: int) -> None:
        optimizer, setup = self.optimizer, self.setup
        if optimizer is None or not setup.updates:
            return
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            if rate is not None and setup.rates:
                group["lr"] = rate * setup.rate(step)
        batches = [next(self.batches) for _ in range(setup.accumulate)]
        if _takes_closure(optimizer):
            optimizer.step(lambda: float(self._backward(batches, zero=True)))
            return
        self._backward(batches, zero=setup.zero_grad)
        optimizer.step()

    def _backward(self, batches: list[dict[int, Tensor]], *, zero: bool) -> Tensor:
        assert self.optimizer is not None  # noqa: S101 there is one where there are steps
        if zero:
            self.optimizer.zero_grad()
        total = torch.zeros(())
        for batch in batches:
            loss = self._loss(batch)
            if loss.requires_grad:
                torch.autograd.backward(loss)
            total = loss.detach()
        self.losses.append(float(total))
        if self.setup.max_grad_norm is not None:
            held = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(held, self.setup.max_grad_norm)
        return total

    def _loss(self, batch: dict[int, Tensor]) -> Tensor:
        setup, cells = self.setup, dict[int, Tensor]()
        loss = setup.rerun.run(self.parameters, batch, edits=setup.edits, environment=cells)
        if setup.objective is not None:
            loss = setup.objective(cells[setup.yardstick.prediction], cells[setup.yardstick.target])
        return loss * setup.scale

    def _hopeless(self) -> bool:
        return len(self.losses) >= _LATE and not any(map(math.isfinite, self.losses[-_LATE:]))


def seconds_per_step(setup: Setup) -> float:
    """Return what a step takes, from few steps where they are slow."""
    twin = Twin(setup, seed=0)
    twin.train(1)
    made, start = 0, perf_counter()
    while made < _TIMED and (not made or perf_counter() - start < _TIME_TO_MEASURE):
        made += twin.train(1) or _TIMED
    return (perf_counter() - start) / made


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed of our own; what the program's generators held comes back."""
    with undisturbed():
        torch.manual_seed(seed)
        yield


def _takes_closure(optimizer: torch.optim.Optimizer) -> bool:
    needed = inspect.signature(type(optimizer).step).parameters.get("closure")
    return needed is not None and needed.default is inspect.Parameter.empty


def _optimizer(
    kind: type, groups: tuple[Group, ...], parameters: dict[int, Tensor]
) -> torch.optim.Optimizer | None:
    """Build an optimizer of the same class; None where it has nothing to step."""
    given: list[dict[str, Any]] = [
        {**group.options, "params": [parameters[cell] for cell in group.cells]}
        for group in groups
        if group.cells
    ]
    if not given:
        return None
    known = inspect.signature(kind).parameters
    shared = {name: value for name, value in given[0].items() if name in known and name != "params"}
    optimizer: torch.optim.Optimizer = kind(given, **shared)
    return optimizer
