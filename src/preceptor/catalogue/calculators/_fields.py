"""Which part of the input each tensor of a forward pass has seen, and through how many weight layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Axis", "Fields", "Seen"]


class Axis(NamedTuple):
    """What the first element along one axis of the input sees, from ``low`` to ``high``, both included.

    ``at``: the tensor's dimension that runs along this axis, counted from the end, so that its element i sees
    i · ``jump`` further; None where the tensor has no such dimension left, and every element sees all of it.
    """

    low: float
    high: float
    jump: float
    at: int | None


@dataclass(frozen=True)
class Seen:
    """Of one tensor: what it has seen along each axis of the input, and its depth in weight layers."""

    axes: tuple[Axis, ...]
    depth: int


class Fields:
    """Follows the operations of one forward pass.

    Arguments:
        inputs: the batch; fields are followed along the axes behind batch and channels.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        self._seen: dict[int, tuple[Tensor, Seen]] = {}  # holds the tensors: an id must not be used again
        self.sides: tuple[int, ...] = ()
        self.hidden = 0  # within modules whose steps are not layers
        for x in inputs:
            spatial = range(-max(x.ndim - 2, 0), 0) if x.is_floating_point() else range(0)
            self.sides = self.sides or tuple(x.shape[d] for d in spatial)
            self.put(x, Seen(tuple(Axis(0.0, 0.0, 1.0, d) for d in spatial), 0))

    def of(self, tensor: Tensor) -> Seen | None:
        """Return what a tensor has seen; None where it does not depend on the input."""
        found = self._seen.get(id(tensor))
        return found[1] if found else None

    def put(self, tensor: Tensor, seen: Seen) -> None:
        """Note what a tensor has seen."""
        self._seen[id(tensor)] = tensor, seen

    def follow(self, operator: str, arguments: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        """Note what the outputs of an operator have seen."""
        given = [(t, seen) for t in _tensors(arguments) if (seen := self.of(t)) is not None]
        if not given or not outputs:
            return
        out, rule = outputs[0], _RULES.get(operator, _alike)
        moved = [
            tuple(self._gone(t, axis, i) if m is None else m for i, (axis, m) in enumerate(pairs))
            for t, seen in given
            for pairs in [list(zip(seen.axes, rule(t, seen.axes, arguments, out), strict=True))]
        ]
        depth = max(seen.depth for _, seen in given)
        if operator in _PRODUCTS and not self.hidden:
            depth += sum(self.of(t) is None for t in _factors(operator, arguments)) == 1
        seen = Seen(tuple(_union(axes) for axes in zip(*moved, strict=False)), depth)
        for tensor in outputs:
            self.put(tensor, seen)

    def deepen(self, tensors: Iterable[Tensor], before: int, layers: int) -> None:
        """Count a module as that many layers behind ``before``."""
        for tensor in tensors:
            if seen := self.of(tensor):
                self.put(tensor, replace(seen, depth=before + layers))

    def size(self, seen: Seen) -> tuple[int, ...]:
        """Return how far one element sees along each axis; the input's own size where it sees all of it."""
        return tuple(
            side if axis.low <= 0 and axis.high >= side - 1 and axis.at is None else _length(axis)
            for axis, side in zip(seen.axes, self.sides, strict=False)
        )

    def _gone(self, tensor: Tensor, axis: Axis, which: int) -> Axis:
        """What the elements along an axis have seen together, within the input."""
        length = 1 if axis.at is None else tensor.shape[axis.at]
        low, high = max(axis.low, 0.0), axis.high + (length - 1) * axis.jump
        return Axis(low, min(high, self.sides[which] - 1.0), axis.jump, None)


def _length(axis: Axis) -> int:
    return math.floor(axis.high - axis.low) + 1


def _union(axes: Sequence[Axis]) -> Axis:
    places = [axis.at for axis in axes if axis.at is not None]
    jump = max(axis.jump for axis in axes if axis.at is not None or not places)
    low, high = min(axis.low for axis in axes), max(axis.high for axis in axes)
    return Axis(low, high, jump, min(places, default=None))


def _tensors(values: Any) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


_Moved = list["Axis | None"]  # None: the axis is gone
_Rule = Callable[[Tensor, tuple[Axis, ...], Sequence[Any], Tensor], _Moved]
_PRODUCTS = {"convolution", "mm", "addmm", "bmm", "baddbmm", "addmv", "mv"}


def _factors(operator: str, arguments: Sequence[Any]) -> list[Tensor]:
    """The two tensors that are multiplied; a bias that is added stands before them."""
    first = 1 if operator in ("addmm", "baddbmm", "addmv") else 0
    return [t for t in arguments[first : first + 2] if isinstance(t, Tensor)]


def _alike(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    """Element by element, perhaps broadcast; whatever changes a length has mixed the elements along it."""

    def kept(at: int | None) -> bool:
        return at is None or (-at <= out.ndim and x.shape[at] in (1, out.shape[at]))

    return [axis if kept(axis.at) else None for axis in axes]


def _view(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    first = min((axis.at for axis in axes if axis.at is not None), default=0)
    same = not first or (-first <= out.ndim and x.shape[first:] == out.shape[first:])
    return [axis if same or axis.at is None else None for axis in axes]


def _slid(axis: Axis, kernel: int, stride: float, padding: float, dilation: int = 1) -> Axis:
    low = axis.low - padding * axis.jump
    high = axis.high + ((kernel - 1) * dilation - padding) * axis.jump
    return Axis(low, high, axis.jump * stride, axis.at)


def _spread(axis: Axis, kernel: int, stride: int, padding: float, dilation: int = 1) -> Axis:
    """A transposed convolution: an output sees few inputs, which ones depends on where it lies between them.

    The field returned holds those of every place: it is too large by less than one step of the input.
    """
    reach = (kernel - 1) * dilation
    low = min(math.ceil((at + padding - reach) / stride) - at / stride for at in range(stride))
    high = max(math.floor((at + padding) / stride) - at / stride for at in range(stride))
    return Axis(axis.low + low * axis.jump, axis.high + high * axis.jump, axis.jump / stride, axis.at)


def _each(values: Any, count: int) -> list[Any]:
    """A setting for each axis: torch takes one number for all."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    return listed if len(listed) == count else listed * count


def _live(axes: tuple[Axis, ...], move: Callable[[Axis], Axis | None]) -> _Moved:
    """Move every axis that runs along a dimension."""
    return [axis if axis.at is None else move(axis) for axis in axes]


def _convolution(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    _, weight, _, stride, padding, dilation, transposed = arguments[:7]
    count = weight.ndim - 2
    settings = [weight.shape[2:], *(_each(v, count) for v in (stride, padding, dilation))]
    move = _spread if transposed else _slid
    return _live(axes, lambda axis: move(axis, *(values[axis.at or 0] for values in settings)))


def _pooling(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    given = [*arguments[1:5], *[[], 0, 1][len(arguments) - 2 :]]
    count = 3 if x.ndim == 5 else 2
    kernel = _each(given[0], count)
    stride = _each(given[1], count) if given[1] else kernel
    padding, dilation = _each(given[2], count), _each(given[3], count)
    if isinstance(dilation[0], bool):  # of an average: whether to round up
        dilation = [1] * count
    settings = [kernel, stride, padding, dilation]
    return _live(axes, lambda axis: _slid(axis, *(values[axis.at or 0] for values in settings)))


def _adaptive(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    def move(axis: Axis) -> Axis | None:
        before, after = x.shape[axis.at or 0], out.shape[axis.at or 0]
        kernel = math.ceil(before / after) + (before % after > 0)
        return None if after == 1 else _slid(axis, kernel, before / after, 0)

    return _live(axes, move)


def _upsampling(neighbours: int) -> _Rule:
    def rule(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
        def move(axis: Axis) -> Axis:
            scale = out.shape[axis.at or 0] / x.shape[axis.at or 0]
            wide = neighbours / 2  # on each side, with the place between the inputs
            low, high = axis.low - max(wide, 1 - 1 / scale) * axis.jump, axis.high + wide * axis.jump
            return Axis(low, high, axis.jump / scale, axis.at)

        return _live(axes, move)

    return rule


def _slice(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    given = [*arguments[1:], *[0, None, None, 1][len(arguments) - 1 :]]
    dim, start, step = given[0] % x.ndim - x.ndim, given[1] or 0, given[3] or 1
    first = min(max(start + (x.shape[dim] if start < 0 else 0), 0), x.shape[dim])

    def move(axis: Axis) -> Axis:
        if axis.at != dim:
            return axis
        by = first * axis.jump
        return Axis(axis.low + by, axis.high + by, axis.jump * step, axis.at)

    return _live(axes, move)


def _padded(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    before = {-1 - i: n for i, n in enumerate(arguments[1][::2])}

    def move(axis: Axis) -> Axis:
        by = before.get(axis.at or 0, 0) * axis.jump
        return axis._replace(low=axis.low - by, high=axis.high - by)

    return _live(axes, move)


def _joined(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    return list(axes)


def _permuted(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    order = list(range(x.ndim))
    if len(arguments) == 3:
        a, b = arguments[1:]
        order[a], order[b] = order[b], order[a]
    elif len(arguments) == 2:
        order = [d % x.ndim for d in arguments[1]]
    else:
        order.reverse()
    return _live(axes, lambda axis: axis._replace(at=order.index((axis.at or 0) % x.ndim) - x.ndim))


def _unsqueezed(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    new = arguments[1] % out.ndim - out.ndim
    return _live(axes, lambda axis: axis._replace(at=(axis.at or 0) - (new >= (axis.at or 0))))


def _squeezed(x: Tensor, axes: tuple[Axis, ...], arguments: Sequence[Any], out: Tensor) -> _Moved:
    named = arguments[1] if len(arguments) > 1 else range(x.ndim)
    dims = {d % x.ndim - x.ndim for d in (named if isinstance(named, (list, tuple, range)) else [named])}
    left = {d for d in dims if x.shape[d] == 1}

    def move(axis: Axis) -> Axis | None:
        at = axis.at or 0
        return None if at in left else axis._replace(at=at + sum(d > at for d in left))

    return _live(axes, move)


_RULES: dict[str, _Rule] = {
    "convolution": _convolution,
    **dict.fromkeys(
        ("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d", "max_pool2d"),
        _pooling,
    ),
    **dict.fromkeys(
        ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
        _adaptive,
    ),
    **{f"upsample_{kind}{d}d": _upsampling(0) for kind in ("nearest", "_nearest_exact") for d in (1, 2, 3)},
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"), _upsampling(2)),
    "upsample_bicubic2d": _upsampling(4),
    "max_unpool2d": _upsampling(0),
    "slice": _slice,
    **dict.fromkeys(
        (
            "constant_pad_nd",
            *(f"{kind}_pad{d}d" for kind in ("reflection", "replication") for d in (1, 2, 3)),
        ),
        _padded,
    ),
    "cat": _joined,
    **dict.fromkeys(("transpose", "permute", "t", "numpy_T"), _permuted),
    "unsqueeze": _unsqueezed,
    "squeeze": _squeezed,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten"), _view),
}
