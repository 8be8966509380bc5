"""Features of a frozen part of a model, computed once in place of once an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.data.batches import Batch, TensorBatches

__all__ = ["FeatureBatches", "Features"]

_BATCH = 256  # examples at a time


@dataclass(frozen=True)
class Features:
    """What a model's frozen part makes of a batch, and the part that is still to come."""

    values: Tensor
    tail: nn.Module


class FeatureBatches:
    """The same passes over the same examples, with features in place of inputs.

    They are computed at the beginning of the first pass: by then a training that goes on has its weights.

    Arguments:
        batches: of the inputs.
        extract: from inputs to features.
        tail: from features to outputs.

    Example:
        >>> inputs = TensorBatches(torch.arange(4.0)[:, None], torch.arange(4), batch_size=3, shuffle=False)
        >>> batches = FeatureBatches(inputs, lambda x: 2 * x, nn.Identity())
        >>> [x.values.tolist() for x, _ in batches.epoch()]
        [[[0.0], [2.0], [4.0]], [[6.0]]]
    """

    def __init__(self, batches: TensorBatches, extract: Callable[[Tensor], Tensor], tail: nn.Module) -> None:
        self._batches, self._extract, self._tail = batches, extract, tail
        self._made = False

    @property
    def batch_size(self) -> int:
        """Examples in a full batch."""
        return self._batches.batch_size

    def __len__(self) -> int:
        return len(self._batches)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the order's generators."""
        return self._batches.state_dict()

    def load_state_dict(self, state: dict[str, Any], *, again: bool) -> None:
        """Go back to where that pass began, or was left."""
        self._batches.load_state_dict(state, again=again)

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Begin a pass, leaving out its first ``skip`` batches."""
        if not self._made:
            x = self._batches.x
            parts = [self._extract(x[at : at + _BATCH]) for at in range(0, len(x), _BATCH)]
            self._batches, self._made = self._batches.with_inputs(torch.cat(parts)), True
        return ((Features(x, self._tail), y) for x, y in self._batches.epoch(skip))
