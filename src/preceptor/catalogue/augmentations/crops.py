"""Crops: random windows in training, fixed ones at test."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.augmentations.pipeline import Augmentation, images
from preceptor.errors import ConfigError, ModelError

__all__ = ["FixedCrops", "RandomCrop", "RandomResizedCrop"]

_KIND = "augmentation"
_SHAPES = "(N, C, H, W) → (N, C, size, size)"
_ALEXNET = "Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012"
_TRIAL = {"arguments": (6,), "takes": (3, 2, 8, 8), "gives": (3, 2, 6, 6)}


def _sides(owner: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of a window: a square for one number."""
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    return check_count(owner, "size", height), check_count(owner, "size", width)


def _window(x: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a window of its own from each image."""
    height, width = size
    rows = (top[:, None] + torch.arange(height)).to(x.device)
    columns = (left[:, None] + torch.arange(width)).to(x.device)
    n, c = x.shape[:2]
    cut = x.gather(2, rows[:, None, :, None].expand(n, c, height, x.shape[3]))
    return cut.gather(3, columns[:, None, None, :].expand(n, c, height, width))


def _checked(owner: str, x: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    height, width = images(owner, x).shape[-2:]
    if height < size[0] or width < size[1]:
        raise ModelError(
            f"{owner}: the images are too small",
            expected=f"at least {size[0]}×{size[1]}",
            received=f"{height}×{width}",
            hint="a smaller size, or padding",
        )
    return height, width


@registered(
    kind=_KIND,
    name="random-crop",
    aliases=("aug-crop", "crop"),
    formula="training: a window of size × size at a place drawn evenly, of the image padded by padding "
    "zeros; "
    "test: the window in the middle; size=[height, width] for one that is no square",
    shapes=_SHAPES,
    when="images a little larger than need be; with padding, small images that should move",
    pitfalls="the object may be left out where windows are small",
    source=_ALEXNET,
    example=">>> get('random-crop', 24)(torch.zeros(2, 1, 28, 28)).shape\ntorch.Size([2, 1, 24, 24])",
    traits=_TRIAL,
)
class RandomCrop(Augmentation):
    """Random crop: a window anywhere in training, the middle one at test."""

    def __init__(self, size: int | Sequence[int], padding: int = 0) -> None:
        super().__init__()
        self.size = _sides("random-crop", size)
        self.padding = check_count("random-crop", "padding", padding, 0)

    def vary(self, x: Tensor) -> Tensor:
        """Cut a random window from each image."""
        padded = functional.pad(images("random-crop", x), [self.padding] * 4)
        height, width = _checked("random-crop", padded, self.size)
        top = torch.randint(height - self.size[0] + 1, (len(x),))
        return _window(padded, top, torch.randint(width - self.size[1] + 1, (len(x),)), self.size)

    def fixed(self, x: Tensor) -> Tensor:
        """Cut out the middle."""
        height, width = _checked("random-crop", x, self.size)
        top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
        return x[..., top : top + self.size[0], left : left + self.size[1]]


@registered(
    kind=_KIND,
    name="random-resized-crop",
    aliases=("random-scale-crop", "inception-crop"),
    formula="training: a window of a share U(low, 1) of the area and a ratio of sides of exp U(−log ratio, "
    "log ratio), where it fits, resized to size × size by bilinear interpolation; test: the largest square "
    "in "
    "the middle, resized; size=[height, width] for windows that are no squares",
    shapes=_SHAPES,
    when="photographs of one object at any distance",
    pitfalls="objects look smaller at test than in training: a larger size at test helps",
    source="Szegedy et al., Going Deeper with Convolutions, 2015",
    differs="torchvision draws again where a window does not fit; here it is cut to fit",
    example=">>> get('random-resized-crop', 16)(torch.zeros(2, 1, 28, 28)).shape\ntorch.Size([2, 1, 16, 16])",
    traits=_TRIAL,
)
class RandomResizedCrop(Augmentation):
    """Random crop and scale: a window of any size and place, brought to one size."""

    def __init__(self, size: int | Sequence[int], low: float = 0.25, ratio: float = 4 / 3) -> None:
        super().__init__()
        self.size = _sides("random-resized-crop", size)
        self.low = check_number("random-resized-crop", "low", low, 0.01, 1.0)
        self.ratio = check_number("random-resized-crop", "ratio", ratio, 1.0, 10.0)

    def vary(self, x: Tensor) -> Tensor:
        """Draw a window for each image, and resize it."""
        n, (height, width) = len(images("random-resized-crop", x)), x.shape[-2:]
        area = self.low + (1 - self.low) * torch.rand(n, dtype=torch.float64)
        lean = torch.exp((2 * torch.rand(n, dtype=torch.float64) - 1) * math.log(self.ratio))
        side = (area * height * width).sqrt()
        share = torch.stack([side * lean.sqrt() / width, side / lean.sqrt() / height], 1).clamp(max=1.0)
        middle = (2 * torch.rand(n, 2, dtype=torch.float64) - 1) * (1 - share)
        return self._resized(x, share, middle)

    def fixed(self, x: Tensor) -> Tensor:
        """Resize the largest square in the middle."""
        height, width = images("random-resized-crop", x).shape[-2:]
        lean = (height / width) / (self.size[0] / self.size[1])
        largest = torch.tensor([min(lean, 1.0), min(1 / lean, 1.0)], dtype=torch.float64)
        return self._resized(x, largest.expand(len(x), 2), torch.zeros(len(x), 2, dtype=torch.float64))

    def _resized(self, x: Tensor, share: Tensor, middle: Tensor) -> Tensor:
        theta = torch.cat([torch.diag_embed(share), middle.unsqueeze(2)], dim=2).to(x)
        grid = functional.affine_grid(theta, [*x.shape[:2], *self.size], align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


@registered(
    kind=_KIND,
    name="fixed-crops",
    aliases=("five-crop", "ten-crop", "aug-fixedcrops", "multi-crop"),
    formula="test: the four corners and the middle, with crops=10 their mirror images as well; a "
    "prediction is "
    "the mean over them, of raw outputs or of='probabilities'; training: a random window, mirrored half of "
    "the time where crops=10",
    shapes="training (N, C, H, W) → (N, C, size, size); test → (crops · N, C, size, size), one crop of all "
    "examples after the other",
    when="a little more accuracy at test, for crops times the work",
    pitfalls="five crops of nearly the whole image are nearly the same",
    source=_ALEXNET,
    differs="torchvision's FiveCrop and TenCrop return a tuple, and leave the averaging to you",
    example=">>> get('fixed-crops', 24).eval()(torch.zeros(2, 1, 28, 28)).shape\ntorch.Size([10, 1, 24, 24])",
    traits={**_TRIAL, "views": 5},
)
class FixedCrops(Augmentation):
    """Fixed crops at test: predictions are averaged over the same windows of every image."""

    def __init__(self, size: int, crops: int = 5, of: str = "outputs") -> None:
        super().__init__()
        self.size = check_count("fixed-crops", "size", size)
        if crops not in (5, 10):
            raise ConfigError(
                "fixed-crops: crops is not usable", expected="5 or 10", received=f"crops={crops!r}"
            )
        self.views, self.mirrored = crops, crops == 10
        self.of = check_choice("fixed-crops", "of", of, ("outputs", "probabilities"))

    def vary(self, x: Tensor) -> Tensor:
        """Cut a random window from each image."""
        size = (self.size, self.size)
        height, width = _checked("fixed-crops", x, size)
        top = torch.randint(height - self.size + 1, (len(x),))
        cut = _window(x, top, torch.randint(width - self.size + 1, (len(x),)), size)
        if not self.mirrored:
            return cut
        flipped = torch.rand(len(x), device=x.device) < 0.5
        return torch.where(flipped.reshape(-1, 1, 1, 1), cut.flip(-1), cut)

    def fixed(self, x: Tensor) -> Tensor:
        """Return all crops, one after the other."""
        height, width = _checked("fixed-crops", x, (self.size, self.size))
        down, right = height - self.size, width - self.size
        places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        cuts = [x[..., top : top + self.size, left : left + self.size] for top, left in places]
        return torch.cat(cuts + [cut.flip(-1) for cut in cuts] if self.mirrored else cuts)
