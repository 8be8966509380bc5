"""What a loss is given to aim at: read once for all probes, worked out on the host."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from preceptor.observation.look import Look
from preceptor.observation.probes._tensors import dense_sample, readable, single

__all__ = ["Target", "target_of"]

_LABELS = 512
_SAMPLE = 1 << 16
_CLASSES = 1000
_SLOT = "targets.latest"


class Target:
    """One target tensor; the numbers are there once the look has been fetched.

    Attributes:
        values: of 512 elements at most: the first ones where there is one for each sample, else a strided
            choice.
        low, high, mean, std: over all elements, or 65,536 of them.
    """

    def __init__(self, look: Look, tensor: Tensor) -> None:
        self.shape, self.dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        self.integer = not tensor.dtype.is_floating_point
        self.single_column = tensor.dim() > 0 and tensor.numel() == tensor.shape[0]
        self.values: list[float] = []
        self.low = self.high = self.mean = self.std = math.nan
        whole = tensor.numel() <= _LABELS
        chosen = tensor.reshape(-1)[:_LABELS] if self.single_column else dense_sample(tensor, _LABELS)
        # a copy: the program may write into its tensor before the look ends
        look.later(chosen.clone(), self._take_whole if whole else self._take)
        if not whole:
            look.later(_moments(tensor), self._take_moments)

    def _take(self, values: list[float]) -> None:
        self.values = values

    def _take_whole(self, values: list[float]) -> None:
        self.values = values
        count = len(values)
        mean = sum(values) / count
        self.mean, self.std = mean, math.sqrt(sum([(value - mean) ** 2 for value in values]) / count)
        finite = mean == mean
        self.low, self.high = (float(min(values)), float(max(values))) if finite else (math.nan, math.nan)

    def _take_moments(self, values: list[float]) -> None:
        self.low, self.high, self.mean, self.std = values

    def counts(self, ignored: int | None = None) -> dict[int, int]:
        """Return how often each class occurs in ``values``; empty if these are no classes."""
        if not (self.integer or self.single_column):
            return {}
        if not self.integer and not all(math.isfinite(v) and v == int(v) >= 0 for v in self.tally):
            return {}
        skipped = -100 if ignored is None else ignored
        found = {int(value): count for value, count in self.tally.items() if value != skipped}
        return found if len(found) <= _CLASSES else {}

    @cached_property
    def tally(self) -> dict[float, int]:
        """How often each value occurs among ``values``."""
        return Counter(self.values)

    def equal_neighbours(self) -> tuple[float, float] | None:
        """Return the share of equal neighbours, and the one to expect of shuffled samples.

        shuffled: Σ_c n_c (n_c − 1) / (n (n − 1)); n_c = samples of class c, n = all. None if there are no
        single labels, or fewer than two.
        """
        n = len(self.values)
        if not self.single_column or n < 2:
            return None
        equal = sum(a == b for a, b in zip(self.values, self.values[1:], strict=False)) / (n - 1)
        return equal, sum(c * (c - 1) for c in self.tally.values()) / (n * (n - 1))


def target_of(look: Look, arguments: dict[str, Any]) -> Target | None:
    """Return the target among a loss function's arguments, read once for all who ask in turn."""
    tensor = arguments.get("target")
    if not readable(tensor):
        return None
    latest = look.shared.get(_SLOT)
    if latest is None or latest[0]() is not tensor:
        latest = look.shared[_SLOT] = (weakref.ref(tensor), Target(look, tensor))
    target: Target = latest[1]
    return target


def _moments(tensor: Tensor) -> Tensor:
    values = single(dense_sample(tensor, _SAMPLE))
    low, high = torch.aminmax(values)
    mean = values.mean()
    deviation = torch.linalg.vector_norm(values - mean) / math.sqrt(values.numel())
    return torch.stack([low, high, mean, deviation])
