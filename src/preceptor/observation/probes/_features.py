"""The columns of inputs, each by itself: where its values lie, over the looks at one source of inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.observation.probes._tensors import single

__all__ = ["Features", "column_axis", "columns", "measured"]

_COLUMNS = 64
_ELEMENTS = 1 << 13
_STATISTICS = 5

_Rows = NDArray[np.float64]


def column_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis whose places mean different things; None for less than two axes.

    Of (samples, columns) the last one, of images and volumes (samples, channels, …) axis 1, of sequences the
    shorter of the two axes behind the first: there are (samples, time, columns) and (samples, channels,
    time).

    Example:
        >>> column_axis((32, 3, 224, 224)), column_axis((32, 100, 7)), column_axis((32, 7, 100))
        (1, 2, 1)
    """
    if len(shape) < 2:
        return None
    if len(shape) == 3:
        return 2 if shape[2] <= shape[1] else 1
    return len(shape) - 1 if len(shape) == 2 else 1


def columns(tensor: Tensor, axis: int) -> Tensor:
    """Return a matrix whose columns are those of the tensor, at most 64, spread evenly; rows are thinned."""
    chosen = tensor.movedim(axis, -1) if axis != tensor.dim() - 1 else tensor
    chosen = chosen[..., :: -(-chosen.shape[-1] // _COLUMNS)]
    for place in range(chosen.dim() - 1):
        excess = -(-chosen.numel() // _ELEMENTS)
        if excess > 1:
            step = min(excess, max(1, chosen.shape[place] // 2)) if place else excess
            chosen = chosen[(slice(None),) * place + (slice(None, None, step),)]
    return single(chosen.reshape(-1, chosen.shape[-1]))


def measured(matrix: Tensor, finite: bool) -> Tensor:
    """Return count, mean, variance, minimum and maximum of each column's finite elements, as five rows."""
    if finite:
        low, high = torch.aminmax(matrix, dim=0)
        variance, mean = torch.var_mean(matrix, dim=0, correction=0)
        return torch.stack([torch.full_like(mean, matrix.shape[0]), mean, variance, low, high])
    good = matrix.isfinite()
    count = good.sum(0)
    some = count.clamp(min=1)
    mean = matrix.where(good, 0).sum(0) / some
    variance = (matrix - mean).square().where(good, 0).sum(0) / some
    low, high = matrix.where(good, math.inf).amin(0), matrix.where(good, -math.inf).amax(0)
    return torch.stack([count.to(mean.dtype), mean, variance, low, high])


class Features:
    """Column statistics of one source of inputs, put together from those of single looks.

    n = n₁ + n₂, μ = (n₁ μ₁ + n₂ μ₂) / n, n σ² = n₁ σ₁² + n₂ σ₂² + n₁ n₂ / n (μ₁ − μ₂)²; indices: what was
    known, and what is new (Chan, Golub & LeVeque 1983).

    Arguments:
        of: how many columns there are; at most 64 of them are measured.

    Example:
        >>> features = Features(2, 3)
        >>> numbers = measured(torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, 7.0]]), True)
        >>> features.add(numbers.reshape(-1).tolist(), 2)
        >>> features.to_plain()["mean"]
        [2.0, 0.0, 6.0]
    """

    def __init__(self, axis: int, of: int) -> None:
        self.axis, self.of = axis, of
        self.looks = 0
        self.count: _Rows = np.zeros(0)
        self.rows: _Rows = np.zeros(0)
        self.mean = self.variance = self.low = self.high = self.count

    def add(self, numbers: list[float], rows: int) -> None:
        """Take in what `measured` made of ``rows`` rows; other numbers of columns are left out."""
        count, mean, variance, low, high = np.array(numbers).reshape(_STATISTICS, -1)
        if not self.looks:
            self.count = self.rows = self.mean = self.variance = np.zeros(len(mean))
            self.low, self.high = np.full(len(mean), np.inf), np.full(len(mean), -np.inf)
        elif len(mean) != len(self.mean):
            return
        self.looks += 1
        total = self.count + count
        weight = count / np.maximum(total, 1)
        self.variance = (1 - weight) * (self.variance + weight * (mean - self.mean) ** 2) + weight * variance
        self.mean = self.mean + weight * (mean - self.mean)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.count, self.rows = total, self.rows + rows

    @property
    def step(self) -> int:
        """Every how manieth column is measured."""
        return -(-self.of // _COLUMNS)

    def to_plain(self) -> dict[str, Any]:
        """Return lists by statistic, one element a measured column; None where no element was finite."""
        known = self.count > 0
        found: dict[str, Any] = {"axis": self.axis, "of": self.of, "step": self.step, "looks": self.looks}
        found["count"] = self.count.astype(np.int64).tolist()
        found["bad"] = (self.rows - self.count).astype(np.int64).tolist()
        for name, values in (
            ("mean", self.mean),
            ("std", np.sqrt(np.maximum(self.variance, 0))),
            ("min", self.low),
            ("max", self.high),
        ):
            found[name] = values.tolist()
            if not known.all():
                found[name] = [v if ok else None for v, ok in zip(found[name], known, strict=True)]
        return found
