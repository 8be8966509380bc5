"""Image files and streams: decoded with Pillow, brought to one size and number of channels."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preceptor.data._dataset import Array
from preceptor.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "decode", "stack"]

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
)
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


def decode(source: Path | bytes, where: str) -> Array:
    """Return one image as uint8, (H, W) where it is grey and (H, W, 3) where it has colours.

    Raises:
        DataError: it cannot be decoded; the message names ``where`` it lies.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
                return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
            return np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{where} is no readable image", received=str(error), hint="remove the file or save it again"
        ) from error


def stack(images: Sequence[Array], *, shape: tuple[int, ...] | None = None) -> tuple[Array, tuple[str, ...]]:
    """Return the images as one array N×C×H×W of uint8, and notes on what was changed.

    Arguments:
        images: each (H, W) or (H, W, 3).
        shape: (C, H, W) to bring them to; default: the most common size, one channel where all are grey.

    Example:
        >>> stack([np.zeros((8, 6), np.uint8)] * 2)[0].shape
        (2, 1, 8, 6)
    """
    grey = sum(image.ndim == 2 for image in images)
    sizes = Counter(image.shape[:2] for image in images)
    channels, height, width = shape or (1 if grey == len(images) else 3, *sizes.most_common(1)[0][0])
    notes = []
    if len(sizes) > 1:
        others = len(images) - sizes[height, width]
        notes.append(
            f"{others:,} of {len(images):,} images resized to the size of the others, {height}×{width}"
        )
    if 0 < grey < len(images):
        notes.append(f"{grey:,} of {len(images):,} images are grey: given three equal channels")
    values = np.empty((len(images), channels, height, width), dtype=np.uint8)
    for i, image in enumerate(images):
        values[i] = _fitted(image, channels, height, width)
    return values, tuple(notes)


def _fitted(image: Array, channels: int, height: int, width: int) -> Array:
    from PIL import Image

    wrong_size = image.shape[:2] != (height, width)
    if wrong_size or (channels == 1) != (image.ndim == 2):
        picture = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
        if wrong_size:
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        image = np.asarray(picture)
    return image[None] if channels == 1 else image.transpose(2, 0, 1)
