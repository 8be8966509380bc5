"""Random windows of large images and of what belongs to them, as many in a pass as cover the images once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from preceptor.data._pixels import Pixels
from preceptor.data.batches import Batch, TensorBatches
from preceptor.errors import ConfigError

__all__ = ["WindowBatches"]


class WindowBatches(TensorBatches):
    """Mini-batches of windows, cut at random from images and from their masks alike.

    A pass draws ⌈H/size⌉ · ⌈W/size⌉ windows from each image, each at a place of its own.

    Arguments:
        x: images, N × C × H × W.
        y: of the same height and width: masks N × H × W, or images N × C × H × W.
        size: the windows' height and width.
        batch_size: windows a batch (the last one of a pass may be smaller).
        seed: of the windows' own generator.

    Raises:
        ConfigError: the images are smaller than the windows.

    Example:
        >>> x = torch.arange(64.0).reshape(1, 1, 8, 8)
        >>> batches = WindowBatches(x, x[:, 0].long(), size=4, batch_size=3)
        >>> [(tuple(a.shape), bool((a[:, 0] == b).all())) for a, b in batches.epoch()]
        [((3, 1, 4, 4), True), ((1, 1, 4, 4), True)]
    """

    def __init__(self, x: Tensor | Pixels, y: Tensor, *, size: int, batch_size: int, seed: int = 0) -> None:
        super().__init__(x, y, batch_size=1, seed=seed)
        height, width = self._sides = (int(x.shape[-2]), int(x.shape[-1]))
        if min(height, width) < size:
            raise ConfigError(
                "crop is larger than the images",
                expected=f"at most {min(height, width)}",
                received=f"crop={size}",
            )
        self.size = size
        self._windows = len(x) * -(-height // size) * -(-width // size)
        self.batch_size = min(batch_size, self._windows)

    def __len__(self) -> int:
        return -(-self._windows // self.batch_size)

    def epoch(self, skip: int = 0) -> Iterator[Batch]:
        """Draw the windows of a pass, leaving out the first ``skip`` batches of them."""
        self._begun = self._generator.get_state()
        rows = torch.randperm(self._windows, generator=self._generator) % len(self.x)
        tops, lefts = (
            torch.randint(side - self.size + 1, (self._windows,), generator=self._generator)
            for side in self._sides
        )
        return self._cut(rows, tops, lefts, skip)

    def _cut(self, rows: Tensor, tops: Tensor, lefts: Tensor, skip: int) -> Iterator[Batch]:
        for start in range(skip * self.batch_size, self._windows, self.batch_size):
            places = range(start, min(start + self.batch_size, self._windows))
            cut = [
                (..., slice(tops[i], tops[i] + self.size), slice(lefts[i], lefts[i] + self.size))
                for i in places
            ]
            yield tuple(  # type: ignore[misc]  # as many parts as an example has
                torch.stack([whole[int(rows[i])][where] for i, where in zip(places, cut, strict=True)])
                for whole in (self.x, self.y)
            )
