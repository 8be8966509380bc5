"""What is usually done to photographs in training, by their size."""

from __future__ import annotations

from torch import Tensor

from preceptor.catalogue._registry import registered
from preceptor.catalogue.augmentations.crops import RandomCrop, RandomResizedCrop
from preceptor.catalogue.augmentations.geometry import HorizontalFlip
from preceptor.catalogue.augmentations.pipeline import Augmentation, images
from preceptor.catalogue.augmentations.values import BrightnessContrast, PCAColour

__all__ = ["Standard"]

_SMALL = 64  # pixels of the shorter side


@registered(
    kind="augmentation",
    name="standard",
    aliases=("standard-augmentation", "photographs"),
    formula="training, images of at most 64 pixels on the shorter side: random-crop of the image padded by "
    "an eighth of that side; larger ones: random-resized-crop, contrast U(0.8, 1.2), and with three channels "
    "pca-colour (std 0.1, form variance); then horizontal-flip (p = 1/2) unless mirror=False; test: x",
    shapes="(N, C, H, W) → the same shape",
    when="photographs: of a few thousand or fewer, nothing else is as cheap a remedy for overfitting",
    pitfalls="for digits and letters mirror=False, which a training chooses by itself where classes are "
    "called so; what tells classes apart must survive: colour=False where that is a shade",
    source="He et al., Deep Residual Learning for Image Recognition, 2016, section 4.2; Krizhevsky, "
    "Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012, section 4.1",
    differs="torchvision's presets are one for each network",
    example=">>> get('standard')(torch.zeros(2, 3, 32, 32)).shape\ntorch.Size([2, 3, 32, 32])",
    traits={"takes": (3, 3, 8, 8), "gives": (3, 3, 8, 8), "mirrors": True, "fits": True},
)
class Standard(Augmentation):
    """The usual augmentation of photographs: moved or cut, mirrored, and larger ones in other light."""

    def __init__(self, mirror: bool = True, colour: bool = True) -> None:
        super().__init__()
        self.mirror, self.colour = mirror, colour
        self.flip = HorizontalFlip()
        self.contrast = BrightnessContrast(brightness=0.0, contrast=0.2)
        self.light = PCAColour(0.1, "variance")

    def fit(self, x: Tensor) -> None:
        """Find the colours' directions, where colours are to change."""
        if self._coloured(x):
            self.light.fit(x)

    def vary(self, x: Tensor) -> Tensor:
        """Cut, mirror and light each image in its own way."""
        height, width = images("standard", x).shape[-2:]
        side = min(height, width)
        small = side <= _SMALL
        crop = RandomCrop((height, width), max(1, side // 8)) if small else RandomResizedCrop((height, width))
        x = crop.vary(x)
        if self.mirror:
            x = self.flip.vary(x)
        if self.colour and not small:
            x = self.contrast.vary(x)
        return self.light.vary(x) if self._coloured(x) else x

    def _coloured(self, x: Tensor) -> bool:
        channels, *sides = images("standard", x).shape[1:]
        return self.colour and channels == 3 and min(sides) > _SMALL
