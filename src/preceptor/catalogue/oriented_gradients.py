"""Histograms of oriented gradients: features of images that were designed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["OrientedGradients"]

_EPS, _CLIP = 1e-5, 0.2


@registered(
    kind="feature-map",
    name="histograms-of-oriented-gradients",
    aliases=("hog", "hog-features", "histogram-of-oriented-gradients", "oriented-gradients"),
    formula="g = (x[i + 1, j] − x[i − 1, j], x[i, j + 1] − x[i, j − 1]), 0 at the border, of the channel in "
    "which it is longest; each cell of cell × cell pixels has a histogram of ‖g‖ over orientations equal "
    "parts of the half circle of angles, divided by cell²; each block of block × block cells, v, becomes v / "
    "√(‖v‖² + 1e-10), cut at 0.2, and normalised again",
    shapes="(N, C, H, W) → (N, (⌊H / cell⌋ − block + 1) · (⌊W / cell⌋ − block + 1) · block² · orientations)",
    when="few images of outlined things: people, vehicles, digits; what learned features are measured "
    "against",
    pitfalls="no gradient worth the name with respect to the orientation; things must be upright and of one "
    "size; many features for large images with small cells",
    source="Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, 2005",
    differs="as scikit-image's hog with block_norm='L2-Hys'; the paper also spreads each gradient over "
    "neighbouring cells and angles",
    example=">>> features = get('hog', cell=4)\n>>> features(torch.rand(2, 1, 28, 28)).shape\n"
    "torch.Size([2, 1296])",
)
class OrientedGradients(nn.Module):
    """Histograms of oriented gradients: which way edges run, cell by cell, with local contrast taken out."""

    def __init__(self, cell: int = 8, orientations: int = 9, block: int = 2) -> None:
        super().__init__()
        owner = "histograms-of-oriented-gradients"
        self.cell = check_count(owner, "cell", cell)
        self.orientations = check_count(owner, "orientations", orientations)
        self.block = check_count(owner, "block", block)

    def count(self, shape: Sequence[int]) -> int:
        """Return the number of features of an image (C, H, W).

        Raises:
            ModelError: the image has fewer cells than a block.
        """
        cells = [side // self.cell for side in shape[1:]]
        if len(shape) != 3 or min(cells) < self.block:
            raise ModelError(
                "histograms-of-oriented-gradients does not suit these examples",
                expected=f"images (C, H, W) with H and W of at least {self.cell * self.block}",
                received=f"examples of shape {tuple(shape)}",
                hint="a smaller cell, or block=1",
            )
        return math.prod(n - self.block + 1 for n in cells) * self.block**2 * self.orientations

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (N, features)."""
        self.count(x.shape[1:])
        return self._blocks(self._cells(*self._gradients(x)))

    @staticmethod
    def _gradients(x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the longest gradient of each pixel's channels, its length and its angle in half turns."""
        down = functional.pad(x[..., 2:, :] - x[..., :-2, :], (0, 0, 1, 1))
        right = functional.pad(x[..., 2:] - x[..., :-2], (1, 1))
        length, channel = torch.hypot(down, right).max(1, keepdim=True)
        angle = torch.atan2(down.gather(1, channel), right.gather(1, channel)) / math.pi
        return length, angle % 1.0

    def _cells(self, length: Tensor, angle: Tensor) -> Tensor:
        """Return the histogram of each cell, (N, orientations, rows, columns)."""
        part = (angle * self.orientations).long().clamp(max=self.orientations - 1)
        spread = torch.zeros_like(length).expand(-1, self.orientations, -1, -1).scatter(1, part, length)
        return functional.avg_pool2d(spread, self.cell)

    def _blocks(self, cells: Tensor) -> Tensor:
        """Return the blocks' histograms, normalised and flattened."""
        blocks = cells.unfold(2, self.block, 1).unfold(3, self.block, 1)  # N, parts, rows, columns, b, b
        v = blocks.permute(0, 2, 3, 4, 5, 1).flatten(3)
        v = _normalised(v).clamp(max=_CLIP)
        return _normalised(v).flatten(1)


def _normalised(v: Tensor) -> Tensor:
    return v / (v.square().sum(-1, keepdim=True) + _EPS**2).sqrt()
