"""What a training computes in: the precision as asked, or measured on this very network; compiled or not."""

from __future__ import annotations

import copy
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from time import perf_counter, process_time
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn

from preceptor.data import generators
from preceptor.data.batches import Batch, TensorBatches
from preceptor.training.carry import Carried
from preceptor.training.feeds import Feeds
from preceptor.training.problem import Problem

__all__ = ["Precision", "Speed", "compiled", "measured", "use"]

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

_WORTH = 1.05  # how much faster half precision must be: within the noise the exact one wins
_SECONDS = 1.0  # of measuring, warm-up aside
_ROUNDS = 5  # at least, but two where a step takes long
_LONG = 0.3  # seconds
_TURN = 3e-2  # seconds of one turn: several small steps, so that a candidate finds its data in the cache


@dataclass(frozen=True)
class Speed:
    """What a training computes in.

    Attributes:
        precision: as used.
        memory_format: the layout of weights, as used.
        device: where.
        compiled: whether the model is compiled.
        measured: how many times as fast a step was as in plain fp32, with contiguous weights, by what it was
            computed in; empty where that was asked for.
        reason: why nothing was measured that was to be.
    """

    precision: Precision
    memory_format: str
    device: str
    compiled: bool = False
    measured: dict[str, float] = field(default_factory=dict)
    reason: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """Say it in one line.

        Example:
            >>> print(Speed("bf16", "contiguous", "cpu", measured={"fp32": 1.0, "bf16": 1.9}))
            cpu · bf16 · 1.90 times as fast as plain fp32, as measured here
            >>> print(Speed("fp32", "contiguous", "cpu", measured={"fp32": 1.0, "bf16": 0.6}))
            cpu · fp32 · bf16 is 0.60 times as fast, as measured here
        """
        parts = [self.device, self.way, *(["compiled"] if self.compiled else []), self.reason]
        if self.measured and self.way != "fp32":
            parts.append(f"{self.ratio:.2f} times as fast as plain fp32, as measured here")
        elif self.measured:
            others = [f"{way} is {ratio:.2f}" for way, ratio in self.measured.items() if way != "fp32"]
            parts.append(f"{', '.join(others)} times as fast, as measured here")
        return " · ".join(part for part in parts if part)

    @property
    def way(self) -> str:
        """Precision and layout in words."""
        return _way(self.precision, self.memory_format)

    @property
    def ratio(self) -> float | None:
        """How many times as fast as plain fp32 this is; None where that was not measured."""
        return self.measured.get(self.way)


def _way(precision: str, layout: str) -> str:
    return precision + (" · channels-last" if layout == "channels-last" else "")


@dataclass
class _Candidate:
    """One way to compute a step, on copies of model and optimizer."""

    precision: Precision
    memory_format: str
    step: Callable[[], Any]
    turns: list[float]


def use(problem: Problem, feeds: Feeds, speed: Speed, *, layout_is_free: bool, compile_it: bool) -> Problem:
    """Return the problem as it is to be computed; its ``speed`` says how that is, and what was measured.

    Arguments:
        problem: as built, in float32 where the precision is yet to be measured.
        feeds: the batches, one of which is measured with.
        speed: what was asked for, with ``reason`` ``"auto"`` where the precision is to be measured.
        layout_is_free: whether weights may lie contiguous instead, where that is faster.
        compile_it: whether the model is to be compiled.
    """
    if speed.reason == "auto":
        speed = measured(problem, feeds, speed, layout_is_free=layout_is_free)
        if speed.memory_format == "contiguous":
            problem.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's types lack a layout alone
        problem = replace(problem, precision=speed.precision)
    if compile_it:
        problem.compiled = compiled(problem, _batch(feeds))
        speed = replace(speed, compiled=problem.compiled is not None)
    problem.speed = speed
    return problem


def measured(problem: Problem, feeds: Feeds, asked: Speed, *, layout_is_free: bool = False) -> Speed:
    """Time a few steps of this network in float32 and in half precision, in turns; choose the faster.

    Steps are forward pass, loss, backward pass and the optimizer's step, of a real batch, on copies: weights,
    moments and generators are left as they were. Half precision is taken where its median turn is at least a
    twentieth faster, and its loss is a finite number.
    """
    if problem.needs_closure:
        return replace(asked, reason="an optimizer that takes the loss at several points keeps fp32")
    half = _half(problem.device)
    ways: list[tuple[Precision, str]] = [("fp32", asked.memory_format), (half, asked.memory_format)]
    if asked.memory_format != "contiguous":
        ways.insert(0, ("fp32", "contiguous"))
    before = generators.capture()
    try:
        candidates = _tried(problem, _batch(feeds), ways)
        if len(candidates) < len(ways):
            return replace(asked, reason="fp32, as this network cannot be timed in half precision")
        _take_turns(candidates, problem.device)
    finally:
        generators.restore(before)
    plain, half_way = candidates[0], candidates[-1]
    exact = [c for c in candidates[:-1] if layout_is_free or c.memory_format == asked.memory_format]
    best = max(exact, key=lambda candidate: _ratio(plain, candidate))
    if _ratio(best, half_way) >= _WORTH:
        best = half_way
    ratios = {_way(c.precision, c.memory_format): _ratio(plain, c) for c in candidates}
    return replace(
        asked, precision=best.precision, memory_format=best.memory_format, measured=ratios, reason=""
    )


def _half(device: torch.device) -> Precision:
    """Return the kind of half precision that a device has: the wider range where there is a choice."""
    return "fp16" if device.type == "cuda" and not torch.cuda.is_bf16_supported() else "bf16"


def _batch(feeds: Feeds) -> Batch:
    """Return a batch as large as those of the training."""
    train = feeds.train
    if isinstance(train, TensorBatches):
        return train.x[: train.batch_size], train.y[: train.batch_size]
    return feeds.sample


def _tried(problem: Problem, batch: Batch, ways: Sequence[tuple[Precision, str]]) -> list[_Candidate]:
    """Return those that can be computed at all, warmed up; the loss of each must be finite."""
    found = []
    for precision, layout in ways:
        trial = copy.copy(problem)
        trial.precision, trial.regularization = precision, None
        trial.carried = problem.carried and Carried()
        try:
            trial.model, trial.optimizer = copy.deepcopy((problem.model, problem.optimizer))
            format_ = torch.channels_last if layout == "channels-last" else torch.contiguous_format
            trial.model.to(memory_format=format_)  # type: ignore[call-overload]  # torch's types lack a layout alone
            trial.model.train()
            losses = [_step(trial, batch) for _ in range(2)]
        except (RuntimeError, TypeError, ValueError):
            continue
        if all(bool(loss.isfinite()) for loss in losses):
            found.append(_Candidate(precision, layout, partial(_step, trial, batch), []))
    return found


def _step(trial: Problem, batch: Batch) -> Tensor:
    loss = trial.loss(*batch)
    trial.optimizer.zero_grad()
    loss.backward()
    trial.optimizer.step()
    return loss.detach()


def _take_turns(candidates: Sequence[_Candidate], device: torch.device) -> None:
    # Of one thread its own time: what else the machine does is not in it.
    clock = process_time if device.type == "cpu" and torch.get_num_threads() == 1 else perf_counter

    def seconds(step: Callable[[], Any], times: int) -> float:
        begun = clock()
        for _ in range(times):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (clock() - begun) / times

    first = max(seconds(candidate.step, 1) for candidate in candidates)
    times = max(1, round(_TURN / first))
    rounds = 2 if first > _LONG else _ROUNDS
    end = perf_counter() + _SECONDS
    while len(candidates[0].turns) < rounds or perf_counter() < end:
        for candidate in candidates:
            candidate.turns.append(seconds(candidate.step, times))


def _ratio(slow: _Candidate, fast: _Candidate) -> float:
    """How many times as fast the second is: the median over rounds, as a slow moment falls on both."""
    return statistics.median(a / b for a, b in zip(slow.turns, fast.turns, strict=True))


def compiled(problem: Problem, batch: Batch) -> nn.Module | None:
    """Return the model compiled by torch, or None, with a warning, where it cannot be compiled here.

    A copy is compiled and trained for one step before, so that a lack of a compiler shows now.
    """
    before = generators.capture()
    try:
        trial = copy.copy(problem)
        trial.model, trial.optimizer = copy.deepcopy((problem.model, problem.optimizer))
        trial.model.train()
        trial.regularization, trial.compiled = None, _compiled(trial.model)
        trial.carried = problem.carried and Carried()
        trial.loss(*batch).backward()
    except Exception as error:  # noqa: BLE001 - whatever a compiler or its lack may raise
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        warnings.warn(
            f"the model is not compiled: {type(error).__name__}: {first:.200}; it runs as without "
            "training.compile. torch.compile needs a C++ compiler on CPUs and Triton on GPUs",
            stacklevel=2,
        )
        return None
    finally:
        generators.restore(before)
    return _compiled(problem.model)


def _compiled(model: nn.Module) -> nn.Module:
    return cast(nn.Module, torch.compile(model))
