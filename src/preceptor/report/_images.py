"""Raw image arrays as small PNG files inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.report.summary import Indexed

__all__ = ["data_uris", "pixels"]

_SIDE = 64  # pixels; twelve colour images of this size take at most 200 kB
_DARK = 64  # 8-bit images that stay below it hold another scale, as scanned digits of 0 to 16 do


def data_uris(images: Indexed, indices: Sequence[int]) -> list[str]:
    """Return one ``data:image/png`` address per index; an empty one where there is no image to show.

    Values of 8 bits and fractions in [0, 1] are shown as they are; any other range, and 8 bits of which less
    than a quarter is used, is stretched to black and white over all images together. One channel is grey,
    three are colour; of other numbers of channels the first is shown.

    Arguments:
        images: C×H×W or H×W per index.
        indices: which of them are wanted.

    Example:
        >>> data_uris(np.zeros((1, 1, 8, 8)), [0])[0][:22]
        'data:image/png;base64,'
    """
    return ["" if image is None else _png(image) for image in pixels(images, indices)]


def pixels(images: Indexed, indices: Sequence[int]) -> list[NDArray[np.uint8] | None]:
    """Return images as bytes, H×W or H×W×3, in the shades that `data_uris` shows; None where none is."""
    raw = [_channels(_at(images, i)) for i in indices]
    shown = [image for image in raw if image is not None]
    if not shown:
        return [None] * len(raw)
    low = min(float(image.min()) for image in shown)
    high = max(float(image.max()) for image in shown)
    if high >= _DARK and all(image.dtype == np.uint8 for image in shown):
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return [None if image is None else _bytes(image, low, high) for image in raw]


def _at(images: Indexed, index: int) -> Any:
    try:
        return images[index]
    except (KeyError, IndexError):
        return None


def _channels(image: Any) -> NDArray[Any] | None:
    if image is None:
        return None
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size or array.dtype.kind not in "biuf":
        return None
    array = array if len(array) == 3 else array[:1]
    if array.dtype == np.uint8:
        return array
    return np.clip(np.nan_to_num(array.astype(np.float64)), -1e30, 1e30)


def _bytes(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    bright = (image.astype(np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    pixels: NDArray[np.uint8] = np.ascontiguousarray(
        bright.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    )
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _png(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
