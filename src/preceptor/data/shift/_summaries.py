"""What is followed of raw inputs: their columns, or of images brightness and contrast, as plain numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.data._dataset import Array, Table
from preceptor.data._rows import block_means

__all__ = ["Summaries", "summarize"]

_MOST_COLUMNS = 256
_CELLS = 4
_BLOCK = 4096  # examples at a time


class Summaries(NamedTuple):
    """Numbers that stand for each example.

    Attributes:
        values: (n, D), NaN where missing.
        names: what each is called.
        bulk: numbers whose random combinations are followed too, (n, B).
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    bulk: NDArray[np.float64]


def summarize(raw: Any, kind: str, names: tuple[str, ...] = ()) -> Summaries:
    """Return what is followed of raw inputs of that kind.

    A table's number columns and a vector's entries (256 of more) as they are; of images the mean and
    deviation of each channel, its edges, and the brightness of 4×4 blocks; of other tensors mean, deviation,
    smallest and largest number of each example.
    """
    if isinstance(raw, Table):
        own = [column for column in raw.columns if column.kind == "number"]
        values = np.stack([c.values for c in own], axis=1) if own else np.empty((len(raw), 0))
        return Summaries(values.astype(np.float64), tuple(column.name for column in own), values)
    array = raw.numpy() if isinstance(raw, torch.Tensor) else np.asarray(raw)
    if kind == "images" and array.ndim == 4:
        return _of_images(array)
    flat = array.reshape(len(array), -1)
    if kind == "vectors":
        kept = np.unique(np.linspace(0, flat.shape[1] - 1, min(flat.shape[1], _MOST_COLUMNS)).astype(int))
        called = names or tuple(f"x{i}" for i in range(flat.shape[1]))
        values = flat[:, kept].astype(np.float64)
        return Summaries(values, tuple(called[i] for i in kept), values)
    return _of_tensors(flat)


def _of_images(images: Array) -> Summaries:
    channels = images.shape[1]
    moments = np.concatenate([_moments(images[i : i + _BLOCK]) for i in range(0, len(images), _BLOCK)])
    grey = block_means(images, _CELLS)
    cells = grey.reshape(len(images), channels, -1).mean(axis=1)
    height = min(_CELLS, images.shape[2])
    width = cells.shape[1] // height
    named = [
        f"{what} of channel {c}" if channels > 1 else what
        for what in ("brightness", "contrast", "edges")
        for c in range(channels)
    ]
    named += [
        f"brightness at {r + 1}/{height} down, {c + 1}/{width} across"
        for r in range(height)
        for c in range(width)
    ]
    return Summaries(np.concatenate([moments, cells], axis=1), tuple(named), block_means(images, 8))


def _moments(images: Array) -> NDArray[np.float64]:
    """Return mean, deviation, and mean difference of neighbouring pixels of each channel, (n, 3 C)."""
    x = images.astype(np.float64)
    across = np.abs(np.diff(x, axis=3)).mean(axis=(2, 3)) if x.shape[3] > 1 else np.zeros(x.shape[:2])
    return np.concatenate([x.mean(axis=(2, 3)), x.std(axis=(2, 3)), across], axis=1)


def _of_tensors(flat: Array) -> Summaries:
    x = flat.astype(np.float64)
    values = np.stack([x.mean(axis=1), x.std(axis=1), x.min(axis=1), x.max(axis=1)], axis=1)
    return Summaries(values, ("mean", "deviation", "smallest number", "largest number"), values)
