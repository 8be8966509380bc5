"""What comes out of the layers: mean, spread and range, units that are dead, constant or saturated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.observation.look import Look, Probe
from preceptor.observation.probes._layers import Kind, kind_of
from preceptor.observation.probes._tensors import amaxes, amins, floating, sums, tensors_in
from preceptor.observation.probes.finite import found

__all__ = ["Activations"]

_WINDOW, _LOOKS = 256, 8
_CALLS = 4
_EDGE = 0.96  # of the half range: within 2 % of the whole range from a bound
_STATE = "activations.state"
_CLOSER = 8
_KEPT = 64

_Key = tuple[int, torch.dtype, torch.device]


@dataclass
class _Sample:
    """Some rows of one layer's output: observations × units."""

    subject: str
    order: int
    kind: Kind
    rows: int
    matrix: Tensor


class _Calls:
    """The calls of one look, and which axis holds the units of the shapes that were met."""

    def __init__(self) -> None:
        self.outermost = 0
        self.first: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.axes: dict[torch.Size, int] = {}
        self.samples: dict[_Key, list[_Sample]] = {}
        self.order = 0

    def subject(self, name: str) -> str | None:
        """The name under which this call goes; None where it is one too many."""
        if self.first.setdefault(name, self.outermost) != self.outermost:
            return None  # a further micro-batch, or another pass of the same step
        times = self.times[name] = self.times.get(name, 0) + 1
        if times > _CALLS:
            return None
        return name if times == 1 else f"{name}:{times}"


class Activations(Probe):
    """Statistics of each layer's output at training steps, over a sample of its rows.

    Of an output aᵢᵤ (row i, unit u) over ``rows`` rows, spread evenly over the batch, and at most
    ``positions`` positions of each (pixels, time steps; another grid at each look): ``act_mean``,
    ``act_std``, ``act_min``, ``act_max``; ``constant_output`` = #{u: aᵢᵤ equal for all i} / #u, for two
    rows or more; ``nonfinite_share``; ``saturated_share`` = #{aᵢᵤ within 2 % of the range from a bound} /
    #a of sigmoid, tanh, hard ones, softsign; ``inactive_units`` = #{u: |aᵢᵤ| ≤ τ on the last 256 rows} /
    #u, τ = 0 for ReLU and ReLU6, 10⁻³ for GELU, SiLU, Mish and Hardswish, from at least 8 looks. Units are
    channels (axis 1) after convolutions, their normalisation and pooling and wherever there are four axes,
    else the last axis; at most ``units`` of them.

    The second to fourth call of a module within one forward pass has the subject ``name:2`` to ``name:4``.
    Modules that only pass on or rearrange (identity, flatten, dropout), losses, and whatever holds other
    modules have none.

    Example:
        >>> from preceptor.observation.record import Record
        >>> record, probe, layer = Record(), Activations(), nn.Tanh()
        >>> look = Look(0, "train", record)
        >>> probe.module(look, "1", layer, (), torch.tensor([[0.0, 0.99], [0.5, 0.99]]))
        >>> probe.end(look)
        >>> look.finish()
        >>> [record.signal(name, layer="1").last for name in ("saturated_share", "constant_output")]
        [0.5, 0.5]
    """

    def __init__(self, rows: int = 32, *, positions: int = 16, units: int = 2048) -> None:
        self.rows, self.positions, self.units = rows, positions, units
        self._looks = 0
        self._idle: dict[tuple[tuple[str, int], ...], tuple[Tensor, int]] = {}

    def inputs(self, look: Look, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count the outermost calls."""
        if look.phase == "train":
            _calls(look).outermost += 1

    def module(self, look: Look, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Copy some rows of a layer's output."""
        if look.phase != "train":
            return
        kind = kind_of(module)
        if kind is None:
            return
        tensor = output if isinstance(output, Tensor) else next(filter(floating, tensors_in(output)), None)
        if tensor is None or not floating(tensor) or tensor.dim() == 0:
            return
        calls = _calls(look)
        subject = calls.subject(name or type(module).__name__)
        if subject is None:
            return
        axis = _axis(kind, tensor, calls.axes)
        matrix, rows = self._matrix(tensor, axis, look.closer)
        calls.order += 1
        key = (matrix.shape[0], matrix.dtype, matrix.device)
        calls.samples.setdefault(key, []).append(_Sample(subject, calls.order, kind, rows, matrix))

    def end(self, look: Look) -> None:
        """Work the statistics out, those of equal samples together."""
        calls = look.shared.pop(_STATE, None)
        if calls is None:
            return
        self._looks += 1
        for samples in calls.samples.values():
            _saturated(look, samples)
            self._measure(look, samples)

    # ------------------------------------------------------------------ sampling

    def _matrix(self, tensor: Tensor, axis: int, closer: bool) -> tuple[Tensor, int]:
        """A copy of some rows and positions as a matrix observations × units, and the number of rows."""
        limit = self.rows * _CLOSER if closer else self.rows
        dtype = torch.float64 if tensor.dtype is torch.float64 else torch.float32
        if tensor.dim() == 1:
            tensor = tensor.unsqueeze(1)
        shape, strides = tensor.shape, tensor.stride()
        axis %= len(shape)
        rows, units = min(shape[0], limit), min(shape[axis], self.units)
        sizes, steps, offset = [rows], [strides[0] * (shape[0] // rows)], tensor.storage_offset()
        middle = [place for place in range(1, len(shape)) if place != axis]
        if middle:
            positions = self.positions * (_CLOSER if closer else 1)
            each = max(1, int(positions ** (1 / len(middle)) + 1e-9))
            for place in middle:
                count = min(shape[place], each)
                step = shape[place] // count
                sizes.append(count)
                steps.append(strides[place] * step)
                offset += (self._looks * 5 + place) % step * strides[place]
        sizes.append(units)
        steps.append(strides[axis] * (shape[axis] // units))
        view = tensor.as_strided(sizes, steps, offset)
        if view.dtype is dtype:
            copied = view.clone(memory_format=torch.contiguous_format)
        else:
            copied = view.to(dtype).contiguous()
        return copied if len(sizes) == 2 else copied.view(-1, units), rows

    # ------------------------------------------------------------------ measuring

    def _measure(self, look: Look, samples: list[_Sample]) -> None:
        widths = tuple(sample.matrix.shape[1] for sample in samples)
        together = torch.cat([s.matrix for s in samples], 1) if len(samples) > 1 else samples[0].matrix
        totals = together.sum(0)
        low, high = together.amin(0), together.amax(0)
        ends = [amins(low, widths), amaxes(high, widths)]
        idle = self._idle_columns(samples, low, high)
        bad = _nonfinite(together, totals)
        centred = together.sub_(totals, alpha=1.0 / together.shape[0])  # our own copy
        squares = centred.mul_(centred).sum(0)
        if totals.device.type != "mps":  # has no float64
            totals = totals.to(torch.float64)  # the layer's spread is the difference of their squares
        # in-place comparisons leave ones and zeros of the same type, which is faster than booleans
        columns = {"total": totals, "total²": totals * totals, "squares": squares, "constant": high.eq_(low)}
        columns |= {"bad": bad} if bad is not None else {}
        columns |= {"idle": idle} if idle is not None else {}
        values = [sums(torch.cat(list(columns.values())), widths, len(columns)), *ends]
        look.later(torch.cat(values), _receiver(look, samples, widths, [*columns, "low", "high"]))

    def _idle_columns(self, samples: list[_Sample], low: Tensor, high: Tensor) -> Tensor | None:
        """Count for how many rows each column has been idle; ones where it has been for the whole window."""
        kinds = tuple(sample.kind.idle for sample in samples)
        if not any(kind is not None for kind in kinds):
            return None
        key = tuple((sample.subject, sample.matrix.shape[1]) for sample in samples)
        limits = _limits(kinds, tuple(width for _, width in key), high.dtype, high.device)
        reach = torch.maximum(high, low.neg()) if any(kinds) else high.clone()
        rows = min(samples[0].rows, _WINDOW // _LOOKS)
        idle, seen = self._idle.pop(key, (None, 0))
        if idle is None or idle.device != high.device:
            idle, seen = torch.zeros_like(high), 0
        idle, seen = (idle + rows).mul_(reach.le_(limits)), seen + rows
        while len(self._idle) >= _KEPT:
            del self._idle[next(iter(self._idle))]
        self._idle[key] = idle, seen
        return idle.clone().ge_(_WINDOW) if seen >= _WINDOW else None


def _calls(look: Look) -> _Calls:
    state: _Calls | None = look.shared.get(_STATE)
    if state is None:
        state = look.shared[_STATE] = _Calls()
    return state


def _axis(kind: Kind, tensor: Tensor, axes: dict[torch.Size, int]) -> int:
    """Where the units are: the layer says, or one before it of the same shape, or the number of axes."""
    if kind.axis is not None:
        axes[tensor.shape] = kind.axis
        return kind.axis if tensor.dim() > kind.axis else -1
    axis = axes.get(tensor.shape)
    if axis is None:
        axis = 1 if tensor.dim() > 3 else -1
    return axis if tensor.dim() > axis else -1


@lru_cache(maxsize=64)
def _limits(
    kinds: tuple[float | None, ...], widths: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """For each column the magnitude up to which it is idle; below zero where it never is."""
    limits = [-1.0 if kind is None else kind for kind in kinds]
    lengths = torch.tensor(widths, dtype=torch.int64, device=device)
    return torch.tensor(limits, dtype=dtype, device=device).repeat_interleave(lengths)


def _nonfinite(together: Tensor, totals: Tensor) -> Tensor | None:
    """For each column how many elements are not finite; on the host only counted if the totals say so."""
    if totals.device.type == "cpu" and math.isfinite(float(totals.sum())):
        return None
    return (together * 0).ne_(0).sum(0)


def _saturated(look: Look, samples: Sequence[_Sample]) -> None:
    subjects, shares = [], []
    for sample in samples:
        if sample.kind.bounds is not None:
            low, high = sample.kind.bounds
            away = (sample.matrix - (low + high) / 2).abs_()
            subjects.append(sample.subject)
            shares.append(away.ge_((high - low) / 2 * _EDGE).mean())
    if subjects:
        look.put("saturated_share", subjects, torch.stack(shares))


def _receiver(
    look: Look, samples: Sequence[_Sample], widths: tuple[int, ...], columns: list[str]
) -> Callable[[list[float]], None]:
    names = [sample.subject for sample in samples]
    orders = [sample.order for sample in samples]
    resting = [place for place, sample in enumerate(samples) if sample.kind.idle is not None]
    several, rows = samples[0].rows > 1, samples[0].matrix.shape[0]
    record, step, count = look.record, look.step, len(samples)
    suspects = found(look)

    def receive(values: list[float]) -> None:
        got = {name: values[place * count : (place + 1) * count] for place, name in enumerate(columns)}
        sizes = [rows * width for width in widths]
        means = [total / size for total, size in zip(got["total"], sizes, strict=True)]
        spread = [
            _deviation(within / size, square / (size * rows), mean)
            for within, square, size, mean in zip(got["squares"], got["total²"], sizes, means, strict=True)
        ]
        bad = [number / size for number, size in zip(got.get("bad", [0.0] * count), sizes, strict=True)]
        record.add_many("act_mean", step, names, means)
        record.add_many("act_std", step, names, spread)
        record.add_many("act_min", step, names, got["low"])
        record.add_many("act_max", step, names, got["high"])
        record.add_many("nonfinite_share", step, names, bad)
        if several:
            shares = [number / width for number, width in zip(got["constant"], widths, strict=True)]
            record.add_many("constant_output", step, names, shares)
        if "idle" in got:
            shares = [got["idle"][place] / widths[place] for place in resting]
            record.add_many("inactive_units", step, [names[place] for place in resting], shares)
        suspects.extend(("activation", orders[i], names[i]) for i in range(count) if bad[i] > 0)

    return receive


def _deviation(variance: float, square: float, mean: float) -> float:
    """Of all elements: the variance within units and that of their means."""
    total = variance + max(square - mean * mean, 0.0) if square == square else math.nan
    return math.sqrt(total) if total == total else math.nan
