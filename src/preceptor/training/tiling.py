"""Whole images through a network that sees windows, and whose outputs may be smaller than they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Tiling", "mirrored"]


def mirrored(size: int, before: int, after: int, device: torch.device | None = None) -> Tensor:
    """Return the places that an axis is read at when it is mirrored beyond its ends, however far.

    Example:
        >>> mirrored(3, 2, 3).tolist()
        [2, 1, 0, 1, 2, 1, 0, 1]
    """
    places = torch.arange(-before, size + after, device=device)
    if size == 1:
        return torch.zeros_like(places)
    period = 2 * (size - 1)
    folded = places.remainder(period)
    return torch.minimum(folded, period - folded)


@dataclass(frozen=True)
class Tiling:
    """The overlap-tile strategy: windows whose outputs lie side by side, of an image mirrored at its border.

    Attributes:
        height: of the windows that the network is given.
        width: of these windows.
        down: height of its outputs, which lie in the middle of the windows.
        right: width of its outputs.

    Source:
        Ronneberger, Fischer and Brox, U-Net, 2015.

    Example:
        >>> blur = torch.nn.AvgPool2d(3, stride=1)
        >>> Tiling(6, 6, 4, 4)(blur, torch.ones(1, 1, 9, 10)).shape
        torch.Size([1, 1, 9, 10])
    """

    height: int
    width: int
    down: int
    right: int

    @classmethod
    def of(cls, x: Tensor, output: Tensor) -> Tiling | None:
        """Return the tiling that a batch and its outputs ask for; None where the outputs are as large."""
        sizes = [*x.shape[-2:], *output.shape[-2:]]
        if x.ndim != 4 or output.ndim != 4 or sizes[:2] == sizes[2:]:
            return None
        return cls(*sizes)

    def __call__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return what a function of windows makes of whole images, in their size."""
        height, width = x.shape[-2:]
        rows, columns = (
            _read(size, window, step, x.device)
            for size, window, step in ((height, self.height, self.down), (width, self.width, self.right))
        )
        whole = x.index_select(2, rows).index_select(3, columns)
        bands = []
        for top in range(0, height, self.down):
            band = whole[:, :, top : top + self.height]
            tiles = [band[..., left : left + self.width] for left in range(0, width, self.right)]
            bands.append(torch.cat([function(tile.contiguous()) for tile in tiles], 3))
        return torch.cat(bands, 2)[..., :height, :width]


def _read(size: int, window: int, step: int, device: torch.device) -> Tensor:
    """Return the places of an axis that the windows cover, mirrored beyond its ends."""
    before = (window - step) // 2
    return mirrored(size, before, -size % step + window - step - before, device)
