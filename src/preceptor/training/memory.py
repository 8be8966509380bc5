"""A step that does not fit into memory is taken in parts, whose gradients add up to the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from preceptor.data.batches import Batch
from preceptor.errors import OutOfMemory
from preceptor.training.problem import Problem
from preceptor.training.shares import share_of
from preceptor.training.state import State

__all__ = ["halve", "in_parts", "out_of_memory"]


def in_parts(group: Sequence[Batch], parts: int, least: int = 1) -> list[Batch]:
    """Cut each batch into so many of about the same size, in order; batches of few examples into fewer.

    Arguments:
        group: pairs of inputs and targets.
        parts: how many each becomes.
        least: examples that a part has.

    Example:
        >>> import torch
        >>> [y.tolist() for _, y in in_parts([(torch.zeros(5, 2), torch.arange(5))], 2)]
        [[0, 1, 2], [3, 4]]
    """
    return [piece for x, y in group for piece in _cut(x, y, max(1, min(parts, len(y) // least)))]


def _cut(x: Any, y: Tensor, parts: int) -> list[Batch]:
    ends = [len(y) * part // -parts * -1 for part in range(parts + 1)]
    rows = [slice(start, end) for start, end in pairwise(ends)]
    return [(share_of(x, some), y[some]) for some in rows]


def halve(state: State, group: list[Batch], whole: Sequence[Batch], error: BaseException) -> None:
    """After a step that ran out of memory: cut its batches into twice as many parts, and those to come.

    Arguments:
        state: where the training stands; what was done is told, and noted in it.
        group: the batches as the step took them; they are replaced.
        whole: the batches as they were drawn.
        error: what the step ended with.

    Raises:
        OutOfMemory: they cannot be cut, or the parts were as small as they can be.
    """
    problem = state.problem
    smaller = in_parts(whole, 2 * state.parts, state.least) if _can_be_cut(problem, whole) else []
    if len(smaller) <= len(group):
        raise out_of_memory(problem, error, state.parts) from error
    state.parts *= 2
    group[:] = smaller
    state.note(_said(state, max(len(y) for _, y in whole), max(len(y) for _, y in smaller)))


def _said(state: State, size: int, part: int) -> str:
    said = (
        f"a batch of {size} did not fit into memory: from step {state.step + 1} on it is taken in parts of"
        f" {part}, whose gradients add up to the same update"
    )
    if state.least > 1:
        said += f"; batch normalisation takes its statistics from {part} examples, not from {size}"
    return said


def _can_be_cut(problem: Problem, group: Sequence[Batch]) -> bool:
    """Say whether the rows of these batches are examples, and this process decides alone."""
    if problem.distribution is not None or problem.carried is not None:
        return False
    return all(isinstance(y, Tensor) and y.ndim and _of_rows(x, len(y)) for x, y in group)


def _of_rows(value: Any, rows: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return bool(value) and all(_of_rows(one, rows) for one in value)
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == rows


def out_of_memory(problem: Problem, error: BaseException, parts: int = 1) -> OutOfMemory:
    """Return the error for a step that does not fit, which says what may."""
    size = problem.train.batch_size
    told = str(error).partition("\n")[0] or "no details"
    tried = f", in parts of {-(-size // parts)}" if parts > 1 else ""
    return OutOfMemory(
        "a training step ran out of memory",
        expected="a batch that fits",
        received=f"batch_size={size}{tried} on {problem.device}: {told}",
        hint=f"batch_size={max(1, size // 2)} with grad_accumulation={2 * problem.grad_accumulation}"
        " gives the same gradient in half the memory"
        if parts < size
        else "a smaller model, or smaller inputs",
    )
