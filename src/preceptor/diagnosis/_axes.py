"""Where axes go: through operators that rearrange, and through reshapes that cut across them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

from preceptor.diagnosis._options import axes_of, named
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node, Value

__all__ = ["RESHAPES", "contracted", "follow", "moved_axis", "splits_samples", "torn"]

RESHAPES = frozenset({"view", "reshape", "flatten", "unflatten", "view_as", "reshape_as", "resize"})
"""Operators that give the same memory another shape."""

_KEEPING = frozenset(
    {
        "dropout",
        "dropout_",
        "contiguous",
        "clone",
        "to",
        "type",
        "type_as",
        "float",
        "double",
        "half",
        "masked_fill",
    }
    | {"masked_fill_", "identity", "feature_dropout", "alpha_dropout", "nan_to_num", "where"}
)
_PRODUCTS = frozenset({"matmul", "bmm", "mm"})
_STEPS = 8


def follow(structure: Structure, value: Value, axis: int) -> Iterator[tuple[Node, Value, int]]:
    """Yield where an axis ends up: (the operator that reads it, the value that it reads, the axis there).

    Followed through dropout, masks, conversions, and through transpositions, permutations and added or
    removed axes of length 1; anything else is yielded.
    """
    stack = [(value, axis, 0)]
    while stack:
        value, axis, depth = stack.pop()
        for node in structure.readers.get(value.index, ()):
            after = _axis_after(node, value, axis)
            if after is None or depth >= _STEPS:
                yield node, value, axis
            elif node.outputs:
                stack.append((node.outputs[0], after, depth + 1))


def splits_samples(structure: Structure, value: Value) -> Node | None:
    """Return the reshape that splits axis 0 of a value after it was exchanged with another; None without."""
    stack, seen = [(value, 0)], {(value.index, 0)}
    while stack:
        value, axis = stack.pop()
        for node in structure.readers.get(value.index, ()):
            if not node.outputs or node.inputs[0] is not value:
                continue
            reshapes = node.op in RESHAPES
            after = _reshaped(node, axis) if reshapes else _axis_after(node, value, axis)
            if after is None and reshapes and axis > 0 and _is_split(node, axis):
                return node
            if after is not None and (node.outputs[0].index, after) not in seen:
                seen.add((node.outputs[0].index, after))
                stack.append((node.outputs[0], after))
    return None


def _reshaped(node: Node, axis: int) -> int | None:
    """Where an axis is after a reshape; None where it was split or merged."""
    before, after = node.inputs[0].shape, node.outputs[0].shape
    ahead = math.prod(before[:axis])
    place = next((i for i in range(len(after)) if math.prod(after[:i]) == ahead), None)
    if place is None:
        return None
    while place < len(after) and after[place] == 1 != before[axis]:
        place += 1
    return place if place < len(after) and after[place] == before[axis] else None


def _is_split(node: Node, axis: int) -> bool:
    """Whether an axis becomes several, and no other axis is among them."""
    before, after = node.inputs[0].shape, node.outputs[0].shape
    ahead = math.prod(before[:axis])
    ends = {math.prod(after[:i]) for i in range(len(after) + 1)}
    return ahead in ends and ahead * before[axis] in ends and _reshaped(node, axis) is None


def _axis_after(node: Node, value: Value, axis: int) -> int | None:
    rank = len(value.shape)
    if node.op in _KEEPING and node.outputs and node.outputs[0].shape == value.shape:
        return axis
    if node.op in ("transpose", "swapaxes", "swapdims"):
        return _swapped(axis, _integers(node, rank))
    if node.op in ("mT", "t", "T") and rank == 2:
        return 1 - axis
    if node.op == "mT":
        return _swapped(axis, [rank - 2, rank - 1])
    if node.op == "permute":
        order = axes_of(node, rank) if "(" in node.options else tuple(_integers(node, rank))
        return order.index(axis) if axis in order else None
    if node.op in ("unsqueeze", "squeeze") and node.outputs:
        return _shifted(node, axis, rank)
    return None


def _shifted(node: Node, axis: int, rank: int) -> int | None:
    change = len(node.outputs[0].shape) - rank
    places = axes_of(node, rank + 1 if node.op == "unsqueeze" else rank)
    if change == 0:
        return axis
    if len(places) != 1:
        return None
    if node.op == "unsqueeze":
        return axis + (places[0] <= axis)
    return None if places[0] == axis else axis - (places[0] < axis)


def _swapped(axis: int, pair: list[int]) -> int | None:
    if len(pair) != 2:
        return None
    return pair[1] if axis == pair[0] else pair[0] if axis == pair[1] else axis


def _integers(node: Node, rank: int) -> list[int]:
    found = [text for name, text in named(node).items() if name.isdigit() or name.startswith(("dim", "axis"))]
    return [int(text) % rank for text in found if rank and text.lstrip("-").isdigit()]


def contracted(node: Node, value: Value) -> int | None:
    """Return the axis of ``value`` that a product sums over; None where that cannot be told.

    matmul sums over the last axis of its first factor and the last but one of its second; einsum over the
    letters that its result lacks.
    """
    rank = len(value.shape)
    if node.op in _PRODUCTS and len(node.inputs) == 2 and rank >= 2:
        return rank - 1 if node.inputs[0] is value else rank - 2
    if node.op != "einsum" or value not in node.inputs:
        return None
    match = re.match(r"([a-zA-Z, ]+)->([a-zA-Z ]*)", node.options)
    if match is None:
        return None
    letters = match.group(1).replace(" ", "").split(",")
    place = node.inputs.index(value)
    if len(letters) != len(node.inputs) or len(letters[place]) != rank:
        return None
    summed = [i for i, letter in enumerate(letters[place]) if letter not in match.group(2)]
    return summed[0] if len(summed) == 1 else None


# ---------------------------------------------------------------------- reshapes


def moved_axis(before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    """Return the length of an axis that a reshape puts at another place without moving the numbers.

    Both shapes are cut into the shortest groups of neighbouring axes with equal products. Within a group that
    merges and splits at once (two axes or more on both sides) a length that occurs on both sides, once each,
    behind different strides, has changed its place. None where there is no such length.

    Example:
        >>> moved_axis((64, 24, 1), (24, 64, 1))
        64
        >>> moved_axis((64, 24, 8), (64, 4, 6, 8)) is None
        True
    """
    for first, second in _groups(before, after):
        for place, length in enumerate(first):
            if first.count(length) == second.count(length) == 1:
                inner = math.prod(first[place + 1 :]), math.prod(second[second.index(length) + 1 :])
                if inner[0] != inner[1]:
                    return length
    return None


def torn(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether no splitting of axes in order leads from one shape to the other.

    Splitting and merging neighbours in order gives boundaries (products of leading lengths) that divide each
    other in turn; where they do not, new axes cut across old ones.

    Example:
        >>> torn((24, 64, 32), (64, 768)), torn((150, 20, 3), (3000, 3))
        (True, False)
    """
    for first, second in _groups(before, after):
        ends = sorted({*_boundaries(first), *_boundaries(second)})
        if any(large % small for small, large in pairwise(ends)):
            return True
    return False


def _groups(
    before: tuple[int, ...], after: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Groups that merge and split at once, without axes of length 1."""
    first = [n for n in before if n != 1]
    second = [n for n in after if n != 1]
    if math.prod(first) != math.prod(second) or 0 in first:
        return
    common = sorted({*_boundaries(tuple(first))} & {*_boundaries(tuple(second))})
    begin = [0, 0]
    for end in common:
        places = [_place(shape, end) for shape in (first, second)]
        pair = tuple(first[begin[0] : places[0]]), tuple(second[begin[1] : places[1]])
        if min(map(len, pair)) > 1:
            yield pair
        begin = places


def _boundaries(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[: place + 1]) for place in range(len(shape))]


def _place(shape: list[int], end: int) -> int:
    return next(place + 1 for place in range(len(shape)) if math.prod(shape[: place + 1]) == end)
