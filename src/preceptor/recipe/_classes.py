"""Outputs as classes: which axis holds them, and how often the right one is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Classes", "class_axis"]


def class_axis(output: Tensor, y: Any) -> int | None:
    """Return the axis of the classes; None where targets are not one class for each place of the output.

    Example:
        >>> class_axis(torch.zeros(5, 3), torch.zeros(5).long())
        1
        >>> class_axis(torch.zeros(5, 7, 3), torch.zeros(5, 7).long())
        2
        >>> class_axis(torch.zeros(5, 3), torch.zeros(5, 3)) is None
        True
    """
    if not isinstance(y, Tensor) or y.is_floating_point() or output.ndim < 2:
        return None
    if y.ndim == 2 and y.shape[1] == 1 and output.ndim == 2:
        return 1
    if output.ndim != y.ndim + 1:
        return None
    if output.shape[:1] + output.shape[2:] == y.shape:
        return 1
    return output.ndim - 1 if output.shape[:-1] == y.shape else None


@dataclass(frozen=True)
class Classes:
    """How outputs become classes.

    Attributes:
        axis: of the classes; None for one output an example, the larger the likelier.
        limit: above it one output says yes.
    """

    axis: int | None
    limit: float = 0.0

    @classmethod
    def of(cls, output: Any, y: Any, unit: Any) -> Classes | None:
        """Return it; None where targets are numbers."""
        if not isinstance(output, Tensor) or not isinstance(y, Tensor):
            return None
        axis = class_axis(output, y)
        if axis is not None and output.shape[axis] > 1:
            return cls(axis)
        yes_or_no = output.numel() == y.numel() and bool(((y == 0) | (y == 1)).all())
        bounded = unit is not None and unit.name in ("sigmoid", "softmax")
        return cls(None, 0.5 if bounded else 0.0) if yes_or_no and not y.is_complex() else None

    def named(self, output: Tensor) -> Tensor:
        """Return the class that is named at each place."""
        return output.argmax(self.axis) if self.axis is not None else (output > self.limit).long()

    def right(self, output: Any, y: Tensor) -> tuple[int, int]:
        """Return how many places are named right, and how many there are that count."""
        named, target = self.named(output).reshape(-1), y.reshape(-1).long()
        counts = target >= 0
        if self.axis is not None:
            counts &= target < output.shape[self.axis]
        return int(((named == target) & counts).sum()), int(counts.sum())

    def commonest(self, y: Tensor, known: Tensor | None = None) -> float:
        """Return the share of places that have the commonest class, the one of all or that of each place.

        Arguments:
            y: targets.
            known: other targets, by which the commonest class of each place is known; None: of all places.

        Example:
            >>> y = torch.tensor([[0, 1], [0, 1]])
            >>> Classes(1).commonest(y), Classes(1).commonest(y, y)
            (0.5, 1.0)
        """
        target = y.reshape(-1).long()
        found = torch.bincount(target[target >= 0])
        share = float(found.max() / found.sum()) if found.numel() else 0.0
        if known is None or y.ndim < 2 or known.shape[1:] != y.shape[1:]:
            return share
        usual = known.long().mode(0).values
        counts = y >= 0
        at_place = ((y.long() == usual) & counts).sum() / counts.sum().clamp_min(1)
        return max(share, float(at_place))
