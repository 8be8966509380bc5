"""What the checks look at: a data set with its split, and what several of them need, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.data._dataset import Array, Column, Dataset, Table, take
from preceptor.data._preprocess import Preprocessor
from preceptor.data._rows import Hashes, block_means, column_hashes, row_hashes
from preceptor.data._split import Split
from preceptor.data._targets import codes
from preceptor.data.audit._remark import Remark
from preceptor.data.audit._texts import Side, sides_of, text_hashes

__all__ = ["NEIGHBOURS", "Neighbours", "Numbers", "Subject", "drawn", "nearest_rows"]

NEIGHBOURS = 10
_MOST_ROWS = 20_000  # of the checks that need no pairs
_MOST_PAIRED = 10_000  # of those that compare every row with every other
_MOST_COLUMNS = 1024
_DIRECTIONS = 128  # of the random projection in which neighbours of wide rows are sought
_CANDIDATES = 2 * NEIGHBOURS + 4  # sought in single precision, and sorted out in double
_CHUNK = 512


class Numbers(NamedTuple):
    """Columns of numbers of some rows: (n, D) with NaN for missing, and their names."""

    values: NDArray[np.float64]
    names: tuple[str, ...]


class Neighbours(NamedTuple):
    """The nearest other rows of some rows.

    Attributes:
        rows: which rows of the data set, (n,).
        places: where in ``rows`` the ten nearest are, the nearest first, (n, 10).
        distance: how far they are, in standard deviations, (n, 10).
    """

    rows: Array
    places: Array
    distance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subject:
    """A data set and its split.

    Attributes:
        dataset: raw inputs and targets.
        split: which rows are for what.
        scale: what a training does with the inputs, ``"standard"`` or ``"none"``.
        level: what a training makes symbols of, where the data are texts; ``"auto"``: as their kind has it.
        lower: whether it makes capitals small.
        reading: what was seen while the examples were read, where a data set of one's own yields them.
    """

    dataset: Dataset
    split: Split
    scale: str = "standard"
    level: str = "auto"
    lower: bool = False
    reading: tuple[Remark, ...] | None = None

    @property
    def parts(self) -> dict[str, Array]:
        """The rows of each part that has any."""
        named = {"train": self.split.train, "val": self.split.val, "test": self.split.test}
        return {name: rows for name, rows in named.items() if len(rows)}

    @cached_property
    def part_of(self) -> Array:
        """The part of each row, 0 train, 1 val, 2 test; −1 where it is in none."""
        found = np.full(len(self.dataset), -1)
        for i, rows in enumerate((self.split.train, self.split.val, self.split.test)):
            found[rows] = i
        return found

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """The class of each row; None where targets are no classes."""
        if self.dataset.target_kind != "categories":
            return None
        return codes(self.dataset.targets, self.dataset.classes)

    @cached_property
    def amounts(self) -> NDArray[np.float64] | None:
        """The number that each row has as its target; None where it has none, or several."""
        if self.dataset.target_kind != "numbers" or self.dataset.targets.ndim != 1:
            return None
        return self.dataset.targets.astype(np.float64)

    @cached_property
    def hashes(self) -> Hashes:
        """A fingerprint of each row's inputs, of pairs of both sides."""
        every = sides_of(self.dataset, np.arange(len(self.dataset)))
        return text_hashes(every) if every else row_hashes(self.dataset.inputs)

    @cached_property
    def sample(self) -> Array:
        """The rows that are looked at where all would be too many, in order."""
        return drawn(len(self.dataset), _MOST_ROWS)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The texts at the sample's rows; none of data that are no texts."""
        return sides_of(self.dataset, self.sample)

    @property
    def noun(self) -> str:
        """What an example is called."""
        return {"lines": "lines", "pairs": "pairs", "tokens": "sentences"}.get(self.dataset.kind, "examples")

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a table, at the sample's rows; empty for other kinds."""
        inputs = self.dataset.inputs
        return inputs.take(self.sample).columns if isinstance(inputs, Table) else ()

    @cached_property
    def numbers(self) -> Numbers:
        """Columns of numbers at the sample's rows: a table's, vectors', blocks of images, flat tensors."""
        dataset = self.dataset
        if isinstance(dataset.inputs, Table):
            own = [column for column in self.columns if column.kind == "number"]
            stacked = np.stack([c.values for c in own], axis=1) if own else np.empty((len(self.sample), 0))
            return Numbers(stacked.astype(np.float64), tuple(column.name for column in own))
        raw = take(dataset.inputs, self.sample)
        if dataset.kind == "images" and isinstance(raw, np.ndarray):
            values = block_means(raw)
            return Numbers(values, tuple(f"block {i}" for i in range(values.shape[1])))
        if isinstance(raw, torch.Tensor) and not raw.is_floating_point():
            return Numbers(np.empty((len(self.sample), 0)), ())
        flat = np.asarray(raw).reshape(len(self.sample), -1)
        kept = np.unique(np.linspace(0, flat.shape[1] - 1, min(flat.shape[1], _MOST_COLUMNS)).astype(int))
        names = dataset.feature_names or tuple(f"x{i}" for i in range(flat.shape[1]))
        return Numbers(flat[:, kept].astype(np.float64), tuple(names[i] for i in kept))

    @cached_property
    def codes(self) -> tuple[tuple[str, Hashes], ...]:
        """Name and coded values of each category column, at the sample's rows."""
        return tuple((c.name, column_hashes(c)) for c in self.columns if c.kind == "category")

    @cached_property
    def encoded(self) -> tuple[Array, NDArray[np.float64]]:
        """Rows, at most 10,000, and what a network would be given of them, standardised, (n, ≤ 128)."""
        fitted = Preprocessor.fit(self.dataset, self.split.train)
        rows = drawn(len(self.dataset), _MOST_PAIRED)
        x = fitted.inputs(take(self.dataset.inputs, rows))
        flat = x.reshape(len(rows), -1).double().numpy()
        if flat.shape[1] > 2 * _DIRECTIONS:
            draw = np.random.default_rng(0).standard_normal((flat.shape[1], _DIRECTIONS))
            flat = flat @ (draw / np.sqrt(_DIRECTIONS))
        return rows, flat

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """The nearest other rows, equal ones left out but one of each; None where there are too few."""
        rows, x = self.encoded
        _, first = np.unique(self.hashes[rows], return_index=True)
        kept = np.sort(first)
        if len(kept) < 3 * NEIGHBOURS or not x.shape[1]:
            return None
        return Neighbours(rows[kept], *nearest_rows(x[kept]))


def nearest_rows(x: NDArray[np.float64]) -> tuple[Array, NDArray[np.float64]]:
    """Return places and distances of the ten nearest other rows of each, (N, 10), the nearest first.

    Example:
        >>> index, distance = nearest_rows(np.arange(30.0)[:, None] ** 2)
        >>> index[3, :2].tolist(), distance[3, :2].tolist()
        ([2, 4], [5.0, 7.0])
    """
    n, few = len(x), min(_CANDIDATES, len(x) - 1)
    centred = (x - x.mean(axis=0)).astype(np.float32)
    squares = np.square(centred).sum(axis=1)
    index = np.empty((n, NEIGHBOURS), dtype=np.int64)
    distance = np.empty((n, NEIGHBOURS))
    for start in range(0, n, _CHUNK):
        part = slice(start, min(start + _CHUNK, n))
        rough = squares - 2 * (centred[part] @ centred.T)  # the row's own square shifts all alike
        rough[np.arange(part.stop - start), np.arange(start, part.stop)] = np.inf
        near = np.argpartition(rough, few - 1, axis=1)[:, :few]
        exact = np.sqrt(np.square(x[near] - x[part, None]).sum(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")[:, :NEIGHBOURS]
        index[part] = np.take_along_axis(near, order, axis=1)
        distance[part] = np.take_along_axis(exact, order, axis=1)
    return index, distance


def drawn(n: int, most: int) -> Array:
    """Return n rows, or as many of them as may be, drawn once and for all, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))
