"""The one size that images are brought to, and how: cut, padded or stretched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from preceptor.data._dataset import Array
from preceptor.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LARGEST", "RULES", "Fit", "Size", "common_size", "fit_of", "fitted", "fitted_mask", "grey"]
__all__ += ["resized"]

Size: TypeAlias = tuple[int, int]

LARGEST = 224  # pixels of the shorter side, unless a size is asked for
RULES = {
    "crop": "scaled until they cover it, then cut about the middle",
    "pad": "scaled until they fit into it, then padded with black",
    "stretch": "stretched to it",
}
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "F")


@dataclass(frozen=True)
class Fit:
    """What size images are brought to, and how.

    Attributes:
        size: (H, W); None: by the images.
        rule: ``"crop"``, ``"pad"`` or ``"stretch"``.
        largest: pixels of the shorter side of a size that was not asked for; None: no bound.
    """

    size: Size | None = None
    rule: str = "crop"
    largest: int | None = LARGEST


def fit_of(size: Any, rule: str) -> Fit:
    """Return the fit that settings ask for: ``"auto"``, a side's length, or (H, W).

    Raises:
        ConfigError: another size, or an unknown rule.

    Example:
        >>> fit_of(32, "pad")
        Fit(size=(32, 32), rule='pad', largest=224)
    """
    if rule not in RULES:
        raise ConfigError("image_fit is not usable", expected=", ".join(RULES), received=repr(rule))
    if size is None or size == "auto":
        return Fit(None, rule)
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    if len(sides) != 2 or not whole:
        raise ConfigError(
            "image_size is not usable", expected="'auto', a number of pixels, or [H, W]", received=repr(size)
        )
    return Fit((sides[0], sides[1]), rule)


def common_size(sizes: Sequence[Size], fit: Fit) -> tuple[Size, list[str]]:
    """Return the size that images are brought to, (H, W), and a note where it is not their own.

    That is the fit's; else what at least half of the images have; else a square of their median shorter
    side. Unless it was asked for, the shorter side is at most 224.

    Example:
        >>> common_size([(8, 6), (8, 6), (4, 4)], Fit())[0], common_size([(480, 640)], Fit())[0]
        ((8, 6), (224, 299))
    """
    known = Counter(sizes)
    (height, width), count = known.most_common(1)[0]
    why = "the size of most"
    if 2 * count < len(sizes):
        height = width = int(np.median([min(size) for size in sizes]))
        why = "their median shorter side"
    if fit.largest is not None and min(height, width) > fit.largest:
        height, width = (round(side * fit.largest / min(height, width)) for side in (height, width))
        why = f"at most {fit.largest} pixels on the shorter side"
    if fit.size is not None:
        (height, width), why = fit.size, "as asked for"
    others = len(sizes) - known[height, width]
    if not others:
        return (height, width), []
    note = f"{others:,} of {len(sizes):,} images resized to {height}×{width}, {why}: {RULES[fit.rule]}"
    if fit.size is None:
        note += " (data.image_size, data.image_fit)"
    return (height, width), [note]


def grey(image: Image.Image) -> bool:
    """Tell whether an image has shades alone."""
    return image.mode in _GREY


def fitted(image: Image.Image, height: int, width: int, rule: str) -> Image.Image:
    """Return an image at the given size, by bilinear interpolation over all pixels that fall into one."""
    from PIL import Image, ImageOps

    if image.size == (width, height):
        return image
    if rule == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    if rule == "pad":
        return ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def fitted_mask(mask: Image.Image, height: int, width: int, rule: str, outside: int) -> Image.Image:
    """Return a mask at the given size as `fitted` an image: by the nearest pixel, which is no mixture."""
    from PIL import Image, ImageOps

    if mask.size == (width, height):
        return mask
    nearest = Image.Resampling.NEAREST
    if rule == "crop":
        return ImageOps.fit(mask, (width, height), nearest)
    if rule == "pad":
        return ImageOps.pad(mask, (width, height), nearest, color=outside if mask.mode != "RGB" else None)
    return mask.resize((width, height), nearest)


def resized(values: Array, height: int, width: int, rule: str) -> Array:
    """Return arrays of images, N×C×H×W, at another size: bytes as bytes, other numbers as float32.

    Example:
        >>> resized(np.full((1, 2, 4, 4), 7, np.uint8), 2, 3, "stretch").shape
        (1, 2, 2, 3)
    """
    from PIL import Image

    dtype = np.uint8 if values.dtype == np.uint8 else np.float32
    out = np.empty((*values.shape[:2], height, width), dtype=dtype)
    for i, image in enumerate(values):
        for k, channel in enumerate(image):
            shades = Image.fromarray(np.ascontiguousarray(channel, dtype=dtype))
            out[i, k] = np.asarray(fitted(shades, height, width, rule))
    return out
