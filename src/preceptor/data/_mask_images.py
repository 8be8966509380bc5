"""Masks as image files: shades, palettes or colours, read as the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preceptor.catalogue.pixels import VOID
from preceptor.data._dataset import Array
from preceptor.data._image_size import Fit, Size, fitted_mask
from preceptor.data._images import reading
from preceptor.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["mask_sizes", "read_masks"]

_COLOURS = 64  # more of them are no classes but a photograph, or a mask that was stored with losses


def mask_sizes(paths: Sequence[Path]) -> list[Size]:
    """Return (H, W) of each file, which is not decoded."""
    return [reading(path, repr(str(path)), lambda opened: opened.size[::-1]) for path in paths]


def read_masks(
    paths: Sequence[Path], fit: Fit, named: Sequence[str], known: Mapping[str, int] | None
) -> tuple[Array, tuple[str, ...]]:
    """Return masks (N, H, W) of bytes at the fit's size, and the names of their values where they have any.

    Arguments:
        paths: image files, all with values or all with colours.
        fit: with a size.
        named: lines ``name``, in the order of the values, or ``R G B name``.
        known: where colours are to have the values that they had before: value by name. Colours without
            one do not count.

    Raises:
        DataError: unreadable files, or more colours than classes can be.
    """
    read = [_code(path, fit) for path in paths]
    if len({mask.dtype for mask in read}) > 1:
        raise DataError("some masks have colours, others shades", hint="store them all alike, as PNG")
    codes = np.stack(read)
    if codes.dtype == np.uint8:
        return codes, tuple(named)
    colours = np.unique(codes)
    if len(colours) > _COLOURS:
        raise DataError(
            "the masks have too many colours to be classes",
            expected=f"at most {_COLOURS}",
            received=f"{len(colours):,}",
            hint="store masks without losses, as PNG and not as JPEG",
        )
    names = {int(code): f"#{int(code):06x}" for code in colours}
    names |= {code: name for code, name in map(_colour, named) if known is None or code in names}
    order = sorted(names) if not named else [code for code, _ in map(_colour, named) if code in names]
    order += [code for code in sorted(names) if code not in order]
    values = {code: i for i, code in enumerate(order)}
    if known is not None:
        values = {code: known.get(name, VOID) for code, name in names.items()}
    table = np.array([values[int(code)] for code in colours], np.uint8)
    return table[np.searchsorted(colours, codes)], tuple(names[code] for code in order)


def _colour(line: str) -> tuple[int, str]:
    words = line.split(maxsplit=3)
    try:
        red, green, blue = (int(word) for word in words[:3])
        return (red << 16) | (green << 8) | blue, words[3]
    except (ValueError, IndexError) as error:
        raise DataError(
            "a line of classes.txt does not tell a colour",
            expected="R G B name, as the masks are coloured",
            received=repr(line),
        ) from error


def _code(path: Path, fit: Fit) -> Array:
    """Return a mask's values, or its colours as one integer each."""
    return reading(path, repr(str(path)), lambda opened: _values(opened, str(path), fit))


def _values(opened: Image.Image, name: str, fit: Fit) -> Array:
    height, width = fit.size or opened.size[::-1]
    if opened.mode in ("1", "L", "P"):
        shades = opened.convert("L") if opened.mode == "1" else opened
        return np.asarray(fitted_mask(shades, height, width, fit.rule, VOID))
    if opened.mode.startswith("I"):
        deep = np.asarray(fitted_mask(opened, height, width, fit.rule, VOID))
        if deep.max(initial=0) > VOID:
            raise DataError(f"{name!r} is no mask of classes", expected="0…255", received=str(deep.max()))
        return deep.astype(np.uint8)
    rgb = np.asarray(fitted_mask(opened.convert("RGB"), height, width, fit.rule, 0)).astype(np.int32)
    return np.asarray((rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2])
