"""Which way of training many members is fastest here: a few steps of each are timed, and kept in mind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TypeAlias

import torch

from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.training.population.passes import Pass
from preceptor.training.population.rules import rule_for
from preceptor.training.population.seats import Seat
from preceptor.training.problem import Problem

__all__ = ["WIDEST", "Choice", "Make", "choose"]

WIDEST = 64
"""Members in one step: with more, their weights no longer fit the cache, and nothing is left to be shared."""

Make: TypeAlias = Callable[[Sequence[Seat]], Pass]

_LONG = 0.05  # seconds of a step alone, in which what could be shared is no part
_WIDTHS = (4, 16, WIDEST)
_TURN, _ROUNDS = 5e-3, 3  # seconds of one turn, and turns of each candidate
_NAMES = {"sequential": "one after another", "vmapped": "vmapped", "batched": "by kernels over all members"}
_Way: TypeAlias = tuple[str, int]
_ALONE: _Way = ("sequential", 1)
_seen: dict[tuple[object, ...], dict[_Way, float]] = {}


@dataclass(frozen=True)
class Choice:
    """How members are trained.

    Attributes:
        engine: "sequential", "vmapped" or "batched".
        width: how many to a step.
        why: in words, with what was measured.
        seconds: of a step of one member, by engine and width.
    """

    engine: str
    width: int
    why: str
    seconds: Mapping[_Way, float]


def choose(problem: Problem, seats: Sequence[Seat], ways: Mapping[str, Make]) -> Choice:
    """Time a few steps of each way, on copies, and return the fastest.

    What was measured for a network of these shapes, this batch and about as many members counts again.

    Arguments:
        problem: of one of the members.
        seats: the members.
        ways: by engine, what makes the pass of some of them.
    """
    signature = _signature(problem, len(seats), tuple(ways))
    if signature not in _seen:
        before = generators.capture()
        try:
            _seen[signature] = _measured(problem, seats, ways)
        finally:
            generators.restore(before)
    seconds = _seen[signature]
    engine, width = min(seconds, key=lambda way: seconds[way])
    return Choice(engine, width, _why((engine, width), seconds, bool(ways)), seconds)


def _why(chosen: _Way, seconds: Mapping[_Way, float], others: bool) -> str:
    shown = ", ".join(f"{_words(way)} {value * 1e6:.3g} µs" for way, value in seconds.items())
    text = f"a step of a member takes: {shown}"
    if set(seconds) == {_ALONE} and others:
        return text + "; so long a step leaves nothing to be shared"
    if chosen != _ALONE:
        text += f": {seconds[_ALONE] / seconds[chosen]:.1f} times as fast as one after another"
    return text


def _words(way: _Way) -> str:
    return _NAMES[way[0]] if way == _ALONE else f"{_NAMES[way[0]]}, {way[1]} to a step,"


def _signature(problem: Problem, members: int, ways: tuple[str, ...]) -> tuple[object, ...]:
    shapes = tuple(
        (type(module).__name__, *(tuple(p.shape) for p in module.parameters(recurse=False)))
        for module in problem.model.modules()
    )
    data = _data(problem)
    return (
        *(shapes, ways, members.bit_length(), data.batch_size, tuple(data.x.shape[1:])),
        *(type(problem.optimizer).__name__, problem.task.loss, str(problem.device)),
        torch.get_num_threads(),
    )


def _data(problem: Problem) -> TensorBatches:
    assert isinstance(problem.train, TensorBatches)  # noqa: S101 - else there is no step to be shared
    return problem.train


def _measured(problem: Problem, seats: Sequence[Seat], ways: Mapping[str, Make]) -> dict[_Way, float]:
    alone = _alone(problem)
    alone()
    first = _timed(alone, 1, problem.device)
    if first > _LONG:
        return {_ALONE: first}
    steps = {_ALONE: alone}
    for engine, make in ways.items():
        for width in sorted({min(len(seats), width) for width in _WIDTHS}):
            step = _shared(problem, seats[:width], make)
            if step is not None:
                steps[engine, width] = step
    best = dict.fromkeys(steps, float("inf"))
    times = max(1, min(50, round(_TURN / max(first, 1e-6))))
    for _ in range(_ROUNDS):
        for way, step in steps.items():
            each = _timed(step, times if way == _ALONE else 2, problem.device)
            best[way] = min(best[way], each / way[1])
    return best


def _alone(problem: Problem) -> Callable[[], None]:
    trial = copy.copy(problem)
    trial.model, trial.optimizer = copy.deepcopy((problem.model, problem.optimizer))
    trial.model.train()
    data = _data(problem)
    where = torch.randperm(len(data.x))[: data.batch_size].to(problem.device)
    parameters = [p for group in trial.optimizer.param_groups for p in group["params"]]

    def step() -> None:
        for parameter in parameters:
            parameter.grad = None
        loss = trial.loss(data.x.index_select(0, where), data.y.index_select(0, where))
        loss.backward()
        trial.optimizer.step()
        if loss.device.type == "cpu":
            loss.item()

    return step


def _shared(problem: Problem, seats: Sequence[Seat], make: Make) -> Callable[[], None] | None:
    """Return a step of some members on copies of their weights; None where the engine cannot follow."""
    data, members, passes = _data(problem), len(seats), make(seats)
    stack, rule = passes.stack, rule_for([seat.optimizer for seat in seats], passes.stack.rows)
    where = torch.stack([torch.randperm(len(data.x))[: data.batch_size] for _ in range(members)])
    where = where.to(problem.device)
    (now,) = rule.plan(torch.full((1, members), 1e-4, dtype=torch.float64), stack.rows[0])

    @torch.no_grad()
    def step() -> None:
        flat = where.reshape(-1)
        x = data.x.index_select(0, flat).unflatten(0, where.shape)
        y = data.y.index_select(0, flat).unflatten(0, where.shape)
        passes.gradient(x, y)
        rule.update(stack.rows, stack.slopes, now)

    try:
        step()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    return step


def _timed(step: Callable[[], None], times: int, device: torch.device) -> float:
    clock = process_time if device.type == "cpu" and torch.get_num_threads() == 1 else perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    for _ in range(times):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - began) / times
