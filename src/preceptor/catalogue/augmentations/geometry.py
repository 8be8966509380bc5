"""Augmentations that move pixels: shift, turn, stretch, shear, bend, mirror."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.augmentations.pipeline import Augmentation, images

__all__ = [
    "Affine",
    "HorizontalFlip",
    "LensDistortion",
    "affine",
    "distort",
    "rotation",
    "scaling",
    "shearing",
    "translation",
]

_KIND = "augmentation"
_SHAPES = "(N, C, H, W) → the same shape; zeros where nothing of the image comes to lie"
_SIMARD = "Simard, Steinkraus and Platt, Best Practices for CNNs Applied to Visual Document Analysis, 2003"
_TRIAL = {"takes": (3, 2, 8, 8), "gives": (3, 2, 8, 8)}
_FILL = "zero is the mean of standardised pixels, and black elsewhere"


def affine(
    x: Tensor,
    degrees: Tensor | float = 0.0,
    shift: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shear: Tensor | float = 0.0,
) -> Tensor:
    """Turn (counterclockwise), shear, scale and shift images about their centre, by bilinear interpolation.

    Arguments:
        x: images (N, C, H, W).
        degrees: angle, (N,) or one for all.
        shift: pixels to the right and down, (N, 2) or one number.
        scale: factors along width and height, (N, 2) or one number; above 1 enlarges.
        shear: angle by which vertical lines lean, in degrees, (N,) or one for all.

    Example:
        >>> affine(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), degrees=90).squeeze()
        tensor([[2., 4.],
                [1., 3.]])
    """
    n, (height, width) = len(x), x.shape[-2:]

    def each(value: Tensor | float, *shape: int) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64).expand(n, *shape)

    turn = torch.deg2rad(each(degrees))
    sx, sy = each(scale, 2).unbind(1)
    cos, sin, lean = turn.cos(), turn.sin(), torch.deg2rad(each(shear)).tan()
    # where an output pixel comes from: p = S⁻¹ K⁻¹ R⁻¹ (p' − t), in pixels from the centre
    rows = torch.stack(
        [(cos - lean * sin) / sx, (-sin - lean * cos) / sx, sin / sy, cos / sy], dim=1
    ).reshape(n, 2, 2)
    offset = -(rows @ each(shift, 2).unsqueeze(2)).squeeze(2)
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    theta = torch.cat([rows * half / half[:, None], (offset / half).unsqueeze(2)], dim=2)
    grid = functional.affine_grid(theta.to(x), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def distort(x: Tensor, strength: Tensor | float) -> Tensor:
    """Bend images as a lens does: what is shown at radius r comes from r (1 + strength · r²).

    Example:
        >>> x = torch.arange(9.0).reshape(1, 1, 3, 3)
        >>> torch.allclose(distort(x, 0.0), x, atol=1e-6)
        True
    """
    k = torch.as_tensor(strength, dtype=x.dtype, device=x.device).expand(len(x)).reshape(-1, 1, 1, 1)
    straight = torch.eye(2, 3, dtype=x.dtype, device=x.device).expand(len(x), 2, 3)
    grid = functional.affine_grid(straight, list(x.shape), align_corners=False)
    return functional.grid_sample(
        x, grid * (1 + k * grid.square().sum(-1, keepdim=True)), align_corners=False
    )


def _between(low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape, dtype=torch.float64)


@registered(
    kind=_KIND,
    name="affine",
    aliases=("random-affine",),
    formula="p' = R K S p + t about the centre; R turns by U(−degrees, degrees), K shears by U(−shear, "
    "shear), "
    "S scales by U(1 − scale, 1 + scale), t = U(−shift, shift) pixels, whole ones if whole; one draw for "
    "each "
    "image, and with stretch for each axis",
    shapes=_SHAPES,
    when="images whose position, angle and size do not matter: all movements with one interpolation",
    pitfalls=_FILL + "; larger angles change labels (6 and 9)",
    source=_SIMARD,
    example=">>> get('affine', degrees=10, shift=2).eval()(torch.ones(1, 1, 2, 2)).sum()\ntensor(4.)",
    traits=_TRIAL,
)
class Affine(Augmentation):
    """Random affine map: turn, shear, scale and shift at once."""

    def __init__(
        self,
        degrees: float = 0.0,
        shift: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        stretch: bool = False,
        whole: bool = True,
    ) -> None:
        super().__init__()
        self.degrees = check_number("affine", "degrees", degrees, 0.0, 360.0)
        self.shift = check_number("affine", "shift", shift, 0.0)
        self.scale = check_number("affine", "scale", scale, 0.0, 0.99)
        self.shear = check_number("affine", "shear", shear, 0.0, 80.0)
        self.stretch, self.whole = stretch, whole

    def vary(self, x: Tensor) -> Tensor:
        """Draw a map for each image, and apply it."""
        n = len(images("affine", x))
        angle = _between(-self.degrees, self.degrees, n)
        lean = _between(-self.shear, self.shear, n)
        factors = _between(1 - self.scale, 1 + self.scale, n, 2 if self.stretch else 1)
        shift = _between(-self.shift, self.shift, n, 2)
        return affine(x, angle, shift.round() if self.whole else shift, factors, lean)


@registered(
    kind=_KIND,
    name="translation",
    aliases=("shift", "aug-translate", "random-translation"),
    formula="y[c, i, j] = x[c, i − a, j − b], a and b drawn from −pixels … pixels, whole numbers if whole",
    shapes=_SHAPES,
    when="objects that may lie anywhere; fully connected networks on images above all",
    pitfalls=_FILL,
    source=_SIMARD,
    example=">>> get('translation', pixels=1)(torch.ones(4, 1, 3, 3)).shape\ntorch.Size([4, 1, 3, 3])",
    traits=_TRIAL,
)
def translation(pixels: float = 2.0, whole: bool = True) -> Augmentation:
    """Random translation: images move by some pixels."""
    return Affine(shift=check_number("translation", "pixels", pixels, 0.0), whole=whole)


@registered(
    kind=_KIND,
    name="rotation",
    aliases=("aug-rotate", "random-rotation"),
    formula="y(p) = x(R p), R a turn by U(−degrees, degrees) about the centre",
    shapes=_SHAPES,
    when="objects without a fixed up; with a few degrees almost all photographs",
    pitfalls=_FILL + "; half a turn makes a 9 of a 6",
    source=_SIMARD,
    example=">>> get('rotation').eval()(torch.ones(1, 1, 2, 2)).sum()\ntensor(4.)",
    traits=_TRIAL,
)
def rotation(degrees: float = 15.0) -> Augmentation:
    """Random rotation: images turn about their centre."""
    return Affine(degrees=check_number("rotation", "degrees", degrees, 0.0, 360.0))


@registered(
    kind=_KIND,
    name="scaling",
    aliases=("stretching", "aug-scale", "zoom"),
    formula="y(p) = x(p / s), s ~ U(1 − amount, 1 + amount), with stretch one s for each axis",
    shapes=_SHAPES,
    when="objects at any distance",
    pitfalls=_FILL,
    source=_SIMARD,
    example=">>> get('scaling', amount=0.0)(torch.ones(1, 1, 2, 2)).sum()\ntensor(4.)",
    traits=_TRIAL,
)
def scaling(amount: float = 0.1, stretch: bool = False) -> Augmentation:
    """Random scaling: images grow or shrink about their centre."""
    return Affine(scale=check_number("scaling", "amount", amount, 0.0, 0.99), stretch=stretch)


@registered(
    kind=_KIND,
    name="shearing",
    aliases=("shear", "aug-shear"),
    formula="y(p) = x(K p), K leans vertical lines by U(−degrees, degrees)",
    shapes=_SHAPES,
    when="handwriting, whose slant differs",
    pitfalls=_FILL,
    source=_SIMARD,
    example=">>> get('shearing', degrees=0)(torch.ones(1, 1, 2, 2)).sum()\ntensor(4.)",
    traits=_TRIAL,
)
def shearing(degrees: float = 10.0) -> Augmentation:
    """Random shear: images lean to one side."""
    return Affine(shear=check_number("shearing", "degrees", degrees, 0.0, 80.0))


@registered(
    kind=_KIND,
    name="lens-distortion",
    aliases=("barrel-distortion", "aug-lens"),
    formula="y(p) = x(p (1 + k r²)), k ~ U(−strength, strength), r the distance of p from the centre, 1 at "
    "the "
    "middle of each side; k > 0 looks like a barrel, k < 0 like a cushion",
    shapes=_SHAPES,
    when="photographs by different lenses",
    pitfalls=_FILL,
    source="Wu et al., Deep Image: Scaling up Image Recognition, 2015",
    differs="torchvision's ElasticTransform and RandomPerspective bend otherwise",
    example=">>> get('lens-distortion').eval()(torch.ones(1, 1, 2, 2)).sum()\ntensor(4.)",
    traits=_TRIAL,
)
class LensDistortion(Augmentation):
    """Lens distortion: images bulge or pinch about their centre."""

    def __init__(self, strength: float = 0.2) -> None:
        super().__init__()
        self.strength = check_number("lens-distortion", "strength", strength, 0.0, 1.0)

    def vary(self, x: Tensor) -> Tensor:
        """Draw a strength for each image, and bend it."""
        n = len(images("lens-distortion", x))
        return distort(x, _between(-self.strength, self.strength, n).to(x))


@registered(
    kind=_KIND,
    name="horizontal-flip",
    aliases=("flip", "mirror", "aug-flip", "random-horizontal-flip"),
    formula="y[c, i, j] = x[c, i, W − 1 − j] with probability p, else x",
    shapes=_SHAPES,
    when="photographs: the mirror image of a dog is a dog",
    pitfalls="changes what digits, letters and traffic signs mean: a training warns where classes are "
    "called so",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012",
    example=">>> get('flip', p=1.0)(torch.tensor([[[[1.0, 2.0]]]])).squeeze().tolist()\n[2.0, 1.0]",
    traits={**_TRIAL, "mirrors": True},
)
class HorizontalFlip(Augmentation):
    """Random horizontal flip: images are mirrored left to right."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_number("horizontal-flip", "p", p, 0.0, 1.0)

    def vary(self, x: Tensor) -> Tensor:
        """Mirror some of the images."""
        flipped = torch.rand(len(images("horizontal-flip", x)), device=x.device) < self.p
        return torch.where(flipped.reshape(-1, 1, 1, 1), x.flip(-1), x)
