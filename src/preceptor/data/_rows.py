"""Rows as fingerprints of 64 bits, by which equal ones are found in one pass; images as a grid of means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import adaptive_avg_pool2d

from preceptor.data._dataset import Array, Column, Table

__all__ = ["block_means", "column_hashes", "row_hashes"]

_BLOCK = 1 << 20  # numbers converted at a time
_GOLDEN = 0x9E3779B97F4A7C15
_NOTHING = np.uint64(0x7FF8000000000001)  # stands for every missing value

Hashes = NDArray[np.uint64]


def row_hashes(inputs: Array | Table | torch.Tensor) -> Hashes:
    """Return a fingerprint of each row, uint64 (N,): equal rows have equal ones, others by a rare chance.

    h = mix(Σ_j a_j w_j mod 2⁶⁴) with the row's values as words w_j and fixed odd a_j. Numbers count as
    float32, so that a set read as float64 or as bytes has the same fingerprints. Carter and Wegman, Universal
    Classes of Hash Functions, 1979.

    Example:
        >>> first, second, third = row_hashes(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])).tolist()
        >>> first == third, first == second
        (True, False)
    """
    if isinstance(inputs, Table):
        total = np.zeros(len(inputs), dtype=np.uint64)
        for factor, column in zip(_factors(len(inputs.columns)), inputs.columns, strict=True):
            total += factor * column_hashes(column)
        return _mixed(total)
    values = inputs.numpy() if isinstance(inputs, torch.Tensor) else inputs
    flat = values.reshape(len(values), -1)
    factors, found = _factors(flat.shape[1]), np.empty(len(flat), dtype=np.uint64)
    for part in _blocks(len(flat), flat.shape[1]):
        words = (flat[part].astype(np.float32) + np.float32(0)).view(np.uint32)  # −0 becomes 0
        found[part] = (words * factors).sum(axis=1, dtype=np.uint64)
    return _mixed(found)


def column_hashes(column: Column) -> Hashes:
    """Return a fingerprint of each value of a column; all missing ones have the same."""
    if column.kind == "number":
        words = (column.values.astype(np.float32).astype(np.float64) + 0.0).view(np.uint64)
        return np.where(column.missing, _NOTHING, words)
    known = {value: _text_hash(value) for value in set(column.values.tolist()) if value is not None}
    return np.array([known.get(value, int(_NOTHING)) for value in column.values.tolist()], dtype=np.uint64)


def block_means(images: Array, cells: int = 8) -> NDArray[np.float64]:
    """Return the means over a grid of at most cells × cells equal blocks, (N, C·h·w) from (N, C, H, W).

    Example:
        >>> block_means(np.arange(16.0).reshape(1, 1, 4, 4), cells=2)
        array([[ 2.5,  4.5, 10.5, 12.5]])
    """
    n, channels, height, width = images.shape
    size = (min(cells, height), min(cells, width))
    found = np.empty((n, channels * size[0] * size[1]))
    for part in _blocks(n, channels * height * width):
        means = adaptive_avg_pool2d(torch.from_numpy(images[part].astype(np.float64)), size)
        found[part] = means.flatten(1).numpy()
    return found


def _blocks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _factors(count: int) -> Hashes:
    factors: Hashes = _mixed(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)) | np.uint64(1)
    return factors


def _mixed(words: Hashes) -> Hashes:
    """Spread every bit over all others: the last step of splitmix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = words ^ (words >> np.uint64(31))
    return mixed


def _text_hash(value: str) -> int:
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")
