"""Pictures of what a network sees: rows of small images with captions, for the page and as files."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import StorageError
from preceptor.report._format import clean, label

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Look", "Row", "Shown", "heat", "overlay", "png", "save", "sheet", "shrunk", "stretched", "uri"]

Pixels = NDArray[np.uint8]
"""An image of 8 bits, H×W or H×W×3."""

_SIDE = 96  # pixels of a picture on the page
_PNG_BYTES, _QUALITY = 8_000, 75
_FILE_SIDE = 144  # in a file
_MARGIN, _LINE = 12, 18
_CAPTION = 2  # lines
_WIDE = 1200


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture: its pixels, what it shows, and how high it is drawn, 0 for the usual height."""

    pixels: Pixels
    caption: str = ""
    side: int = 0


@dataclass(frozen=True, eq=False)
class Row:
    """Pictures that belong together: one example in several views, or one class in several examples."""

    label: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True, eq=False)
class Look:
    """One way to look at a network.

    Attributes:
        key: how it is asked for: ``"filters"``, ``"saliency"``, ….
        title: a heading.
        lead: what is seen, and how it was made; or, without rows, why there is nothing to see.
        rows: the pictures.

    Example:
        >>> Look("filters", "Filters", "The model has no convolution.").rows
        ()
    """

    key: str
    title: str
    lead: str
    rows: tuple[Row, ...] = ()


def stretched(values: Any) -> Pixels:
    """Return numbers as shades from black, the smallest, to white; an image of one value is grey.

    Example:
        >>> stretched(np.array([[0.0, 0.5, 1.0]])).tolist()
        [[0, 128, 255]]
    """
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=1e30, neginf=-1e30)
    low, high = float(numbers.min()), float(numbers.max())
    if high == low:
        return np.full(numbers.shape, 128, np.uint8)
    shades: Pixels = ((numbers - low) * (255 / (high - low))).round().astype(np.uint8)
    return shades


def heat(values: Any) -> Pixels:
    """Return numbers from 0 to their largest as colours from black over red to bright yellow, H×W×3."""
    from matplotlib import colormaps

    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64)).clip(0)
    coloured = 255 * colormaps["inferno"](numbers / (numbers.max() or 1.0))[..., :3]
    found: Pixels = coloured.round().astype(np.uint8)
    return found


def overlay(image: Pixels, values: Any) -> Pixels:
    """Lay numbers from 0 to their largest over an image, the stronger the larger they are."""
    from matplotlib import colormaps

    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64)).clip(0)
    share = numbers / (numbers.max() or 1.0)
    shades = (image if image.ndim == 2 else image.mean(2))[..., None] * np.ones(3)
    coloured = 255 * colormaps["turbo"](share)[..., :3]
    weight = 0.65 * share[..., None]
    mixed: Pixels = ((1 - weight) * 0.8 * shades + weight * coloured).round().astype(np.uint8)
    return mixed


def sheet(images: Sequence[Pixels], columns: int | None = None) -> Pixels:
    """Return images of one size side by side in rows, a line of one pixel between them.

    Example:
        >>> sheet([np.zeros((5, 5), np.uint8)] * 6, columns=3).shape
        (11, 17)
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = images[0].shape[:2]
    out = np.full(
        (rows * (height + 1) - 1, columns * (width + 1) - 1, *images[0].shape[2:]), 255, dtype=np.uint8
    )
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        out[top : top + height, left : left + width] = image
    return out


def shrunk(image: Pixels, side: int) -> Pixels:
    """Return an image no larger than ``side`` pixels along its shorter side."""
    if min(image.shape[:2]) <= side:
        return image
    scale = side / min(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(_picture(image).resize(size))


def png(image: Pixels) -> bytes:
    """Return an image as a PNG file's content."""
    file = io.BytesIO()
    _picture(image).save(file, "PNG")
    return file.getvalue()


def uri(shown: Shown) -> str:
    """Return a picture as a ``data:`` address that suits the page: PNG, or JPEG where that is large.

    Example:
        >>> uri(Shown(np.zeros((8, 8), np.uint8)))[:22]
        'data:image/png;base64,'
    """
    small = shrunk(shown.pixels, shown.side or _SIDE)
    kind, content = "png", png(small)
    if len(content) > _PNG_BYTES:  # a photograph
        file = io.BytesIO()
        _picture(small).save(file, "JPEG", quality=_QUALITY)
        kind, content = "jpeg", file.getvalue()
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def save(look: Look, folder: str | os.PathLike[str]) -> Path:
    """Write the pictures of a look as one PNG file into a folder, and return its path.

    Raises:
        StorageError: the file cannot be written.
    """
    from preceptor.files import atomic

    path = Path(folder) / f"{look.key}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}", received=error.strerror or str(error)) from error
    with atomic(path) as temporary:
        temporary.write_bytes(png(np.asarray(_page(look))))
    return path


def _picture(image: Pixels) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(image))


def _enlarged(shown: Shown) -> Image.Image:
    """Return a picture at the size of a file's, every pixel of a small one a square."""
    from PIL import Image

    side = shown.side or _FILE_SIDE
    image = _picture(shrunk(shown.pixels, side)).convert("RGB")
    factor = max(1, min(side // min(image.size), (_WIDE - 2 * _MARGIN) // image.width))
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def _page(look: Look) -> Image.Image:
    """Draw the heading, and each row with its label and captions."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 13)
    lines = _wrapped(f"{look.title}. {look.lead}", font, _WIDE - 2 * _MARGIN)
    rows = [(row, [_enlarged(shown) for shown in row.pictures]) for row in look.rows]
    width = max([_WIDE] + [sum(p.width + _MARGIN for p in pictures) + _MARGIN for _, pictures in rows])
    heights = [
        max(p.height for p in pictures) + _MARGIN + _LINE * (_CAPTION + bool(row.label))
        for row, pictures in rows
    ]
    page = Image.new("RGB", (width, 2 * _MARGIN + _LINE * len(lines) + sum(heights)), "white")
    draw = ImageDraw.Draw(page)
    top = _MARGIN
    for line in lines:
        draw.text((_MARGIN, top), line, fill="black", font=font)
        top += _LINE
    for (row, pictures), height in zip(rows, heights, strict=True):
        left, upper = _MARGIN, top + _MARGIN // 2 + _LINE * bool(row.label)
        draw.text((left, top + 2), label(row.label, 150), fill="black", font=font)
        for shown, picture in zip(row.pictures, pictures, strict=True):
            page.paste(picture, (left, upper))
            for i, line in enumerate(_wrapped(shown.caption, font, picture.width)[:_CAPTION]):
                at = (left, upper + picture.height + i * _LINE)
                draw.text(at, label(line, 2 + picture.width // 6), fill="#555555", font=font)
            left += picture.width + _MARGIN
        top += height
    return page


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    lines = [""]
    for word in clean(text, 800).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
