"""Pictures of predictions that lie on a grid: image, target, prediction, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.report._format import label, number
from preceptor.report.looks import Look, Row, Shown, heat

__all__ = ["colours", "denoised", "difference", "painted", "segmented"]

Pixels = NDArray[np.uint8]

_VOID = 255  # the mask value that does not count
_GREY, _WRONG = (128, 128, 128), (230, 40, 40)
_LEVELS = 16  # shades behind a difference: coarse ones make small files
_SWATCH = 24


def colours(classes: int) -> Pixels:
    """Return a colour for each class, K×3; the first of two is dark, as a background is.

    Example:
        >>> colours(2).tolist()
        [[40, 40, 48], [255, 196, 61]]
    """
    from matplotlib import colormaps

    if classes == 2:
        return np.array([[40, 40, 48], [255, 196, 61]], np.uint8)
    table = colormaps["tab20" if classes > 10 else "tab10"]
    made: Pixels = np.round([255 * np.array(table(i % table.N)[:3]) for i in range(classes)]).astype(np.uint8)
    return made


def painted(mask: NDArray[Any], palette: Pixels) -> Pixels:
    """Return a mask H×W in its classes' colours, H×W×3, grey where it does not count.

    Example:
        >>> painted(np.array([[1, 255]]), colours(2)).tolist()
        [[[255, 196, 61], [128, 128, 128]]]
    """
    whole = np.full((_VOID + 1, 3), _GREY, np.uint8)
    whole[: len(palette)] = palette
    found: Pixels = whole[np.asarray(mask, np.int64)]
    return found


def difference(image: Pixels, target: NDArray[Any], predicted: NDArray[Any]) -> Pixels:
    """Return an image in pale shades with the wrong pixels in red; what does not count is left as it is."""
    shades = image if image.ndim == 2 else image.mean(2)
    pale = 128 + 127 * (shades // (256 // _LEVELS)) / (_LEVELS - 1)
    found = np.repeat(pale[..., None], 3, 2)
    found[(target != predicted) & (target != _VOID)] = _WRONG
    out: Pixels = found.astype(np.uint8)
    return out


def segmented(
    examples: Sequence[tuple[str, Pixels, NDArray[Any], NDArray[Any]]], classes: Sequence[str]
) -> Look:
    """Return a look at segmentations: label, image, true and predicted mask of each example.

    Example:
        >>> image, mask = np.zeros((4, 4), np.uint8), np.zeros((4, 4), int)
        >>> look = segmented([("row 1", image, mask, mask)], ("a", "b"))
        >>> [shown.caption for shown in look.rows[1].pictures]
        ['image', 'target', 'prediction', 'difference']
    """
    palette = colours(len(classes))
    swatches = tuple(
        Shown(np.tile(colour, (_SWATCH, _SWATCH, 1)), label(name, 24))
        for name, colour in zip(classes, palette, strict=True)
    )
    rows = [Row("classes", swatches)]
    for told, image, target, predicted in examples:
        pictures = (
            Shown(image, "image"),
            Shown(painted(target, palette), "target"),
            Shown(painted(predicted, palette), "prediction"),
            Shown(difference(image, target, predicted), "difference"),
        )
        rows.append(Row(told, pictures))
    lead = "The images with the largest loss, then those with the smallest. Wrong pixels are red; grey ones "
    lead += "in a target do not count."
    return Look("overlays", "Worst and best segmentations", lead, tuple(rows))


def denoised(examples: Sequence[tuple[str, Pixels | None, Pixels, Pixels]]) -> Look:
    """Return a look at images that were made from themselves: label, noisy, made and clean image of each.

    Example:
        >>> image = np.zeros((4, 4), np.uint8)
        >>> [shown.caption for shown in denoised([("row 1", None, image, image)]).rows[0].pictures]
        ['target', 'prediction', 'difference, at most 0']
    """
    rows = []
    for told, noisy, made, clean in examples:
        apart = np.abs(made.astype(np.float64) - clean)
        apart = apart if apart.ndim == 2 else apart.mean(2)
        pictures = (
            *((Shown(noisy, "input"),) if noisy is not None else ()),
            Shown(clean, "target"),
            Shown(made, "prediction"),
            Shown(heat(apart), f"difference, at most {number(apart.max(), 3)}"),
        )
        rows.append(Row(told, pictures))
    lead = "The images with the largest loss, then those with the smallest. The difference is the absolute "
    lead += "one in shades of 256."
    return Look("overlays", "Worst and best", lead, tuple(rows))
