"""Image files and streams: decoded with Pillow one by one, and brought to one size and number of channels."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from preceptor.data._dataset import Array
from preceptor.data._image_size import Fit, Size, common_size, fitted, grey
from preceptor.errors import DataError, PreceptorError
from preceptor.untrusted import check_room, check_unpacked

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["IMAGE_SUFFIXES", "decode", "read_images", "reading"]

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
)
_THREADS = 8  # Pillow lets others run while it decodes; as many decoded images are held at a time
_NAMED = 6  # unreadable files in a message
_ORIENTED = ("JPEG", "MPO", "TIFF", "WEBP")  # formats whose header tells how the camera was held
_ORIENTATION = 0x0112
_UNDECODED = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError,
              RuntimeError, struct.error, zlib.error)  # fmt: skip
_T = TypeVar("_T")


class _Header(NamedTuple):
    size: Size
    grey: bool
    transparent: bool


def decode(source: Path | bytes, where: str) -> Array:
    """Return one image as uint8, (H, W) where it is grey and (H, W, 3) where it has colours.

    It is turned as its EXIF orientation says, 16 bits become 8, and what is transparent lies on white.

    Raises:
        DataError: it cannot be decoded; the message names ``where`` it lies.
    """
    return reading(source, where, lambda opened: np.asarray(_upright(opened)))


def read_images(
    sources: Sequence[Path | bytes],
    where: Callable[[int], str],
    *,
    shape: tuple[int, ...] | None = None,
    fit: Fit | None = None,
) -> tuple[Array, tuple[str, ...]]:
    """Return images as one array N×C×H×W of uint8, and notes on what was changed.

    Beside that array no more than eight decoded images are in memory at a time.

    Arguments:
        sources: files, or their contents.
        where: how messages call the image at an index.
        shape: (C, H, W) to bring them to; default: one channel where all are grey, the size by ``fit``.
        fit: the size, and what is done with images of another.

    Raises:
        DataError: images that cannot be decoded, by name.
        OutOfMemory: the array would be larger than the machine's memory.
    """
    fit = fit or Fit()
    headers = _each(len(sources), lambda i: reading(sources[i], where(i), _header))
    channels = shape[0] if shape else 1 if all(header.grey for header in headers) else 3
    size, notes = common_size([header.size for header in headers], fit)
    height, width = shape[1:] if shape else size
    values = _room(len(sources), channels, height, width)

    def fill(i: int) -> None:
        def bring(opened: Image.Image) -> Array:
            # A JPEG decodes to a half, a quarter or an eighth of its size for less work and memory.
            opened.draft(None, (2 * max(height, width),) * 2)
            image = _upright(opened).convert("L" if channels == 1 else "RGB")
            return np.asarray(fitted(image, height, width, fit.rule))

        image = reading(sources[i], where(i), bring)
        values[i] = image[None] if channels == 1 else image.transpose(2, 0, 1)

    _each(len(sources), fill)
    return values, () if shape else (*notes, *_colour_notes(headers, channels))


def _colour_notes(headers: Sequence[_Header], channels: int) -> list[str]:
    notes, n = [], len(headers)
    pale = sum(header.grey for header in headers)
    if channels == 3 and pale:
        notes.append(f"{pale:,} of {n:,} images are grey: given three equal channels")
    clear = sum(header.transparent for header in headers)
    if clear:
        notes.append(f"{clear:,} of {n:,} images have transparent parts: laid on white")
    return notes


def _each(count: int, do: Callable[[int], _T]) -> list[_T]:
    """Do something with each image, several at a time; name all that cannot be read."""
    broken: list[DataError] = []

    def one(i: int) -> Any:
        try:
            return do(i)
        except DataError as error:
            broken.append(error)
            return None

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        done = list(threads.map(one, range(count)))
    if len(broken) == 1:
        raise broken[0]
    if broken:
        names = sorted(error.problem.removesuffix(_UNREADABLE) for error in broken)
        raise DataError(
            f"{len(broken):,} of {count:,} images cannot be read",
            received=", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else ""),
            hint="remove the files or save them again",
        )
    return done


_UNREADABLE = " is no readable image"


def reading(source: Path | bytes, where: str, see: Callable[[Image.Image], _T]) -> _T:
    """Return what is seen in an opened image.

    Raises:
        DataError: it cannot be read; the message names ``where`` it lies.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            packed = len(source) if isinstance(source, bytes) else source.stat().st_size
            check_unpacked(where, packed, 4 * opened.width * opened.height)
            return see(opened)
    except PreceptorError:
        raise
    except (*_UNDECODED, Image.DecompressionBombError) as error:
        raise DataError(
            f"{where}{_UNREADABLE}", received=str(error), hint="remove the file or save it again"
        ) from error


def _header(opened: Image.Image) -> _Header:
    width, height = opened.size
    if opened.format in _ORIENTED and opened.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
    return _Header((height, width), grey(opened), _transparent(opened))


def _transparent(image: Image.Image) -> bool:
    return image.mode.endswith(("A", "a")) or "transparency" in image.info


def _upright(opened: Image.Image) -> Image.Image:
    """Return the image in 8 bits, L or RGB, the way up that it was taken."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "L" if grey(image) else "RGB"
    if _transparent(image):  # under what is transparent lies any colour, black as a rule
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image.convert(mode)


def _room(*shape: int) -> Array:
    """Return an empty array of bytes, if the machine can hold it.

    Raises:
        OutOfMemory: it cannot.
    """
    what = f"an array of {shape[0]:,} images of {'×'.join(map(str, shape[1:]))}"
    check_room(math.prod(shape), what, hint="a smaller data.image_size, or a DataLoader of your own")
    return np.empty(shape, dtype=np.uint8)
