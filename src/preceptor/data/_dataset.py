"""What every source becomes: inputs, targets, what is known about them, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from preceptor.errors import DataError

__all__ = ["Array", "Column", "Dataset", "Table", "fingerprint", "take"]

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Attributes:
        name: as in the header.
        kind: ``"number"`` or ``"category"``.
        values: (N,); float64 with NaN for missing, or an object array of str with None for missing.

    Example:
        >>> Column("age", "number", np.array([39.0, np.nan])).missing
        array([False,  True])
    """

    name: str
    kind: str
    values: Array

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no value, (N,)."""
        if self.kind == "number":
            return np.isnan(self.values)
        return np.array([value is None for value in self.values], dtype=bool)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, each number or category.

    Example:
        >>> table = Table((Column("age", "number", np.array([39.0, 50.0])),))
        >>> len(table), table.names
        (2, ('age',))
    """

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name; `DataError` where it is absent."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"the table has no column {name!r}", received="columns " + ", ".join(self.names))

    def take(self, rows: Array) -> Table:
        """Return those rows as a table of their own."""
        return Table(tuple(Column(c.name, c.kind, c.values[rows]) for c in self.columns))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets as they came, before any split or scaling.

    Attributes:
        name: what the run is called after: ``"digits"``, a file's stem, or ``"data"``.
        kind: ``"images"`` (N×C×H×W, uint8 or float), ``"table"`` (a `Table`), ``"vectors"`` (N×D),
            ``"pairs"`` (N texts, their translations the targets), or
            ``"tensors"`` (anything else, passed through as it is).
        inputs: the raw inputs of that kind.
        targets: raw targets, (N,) strings, integers or floats, (N, D) numbers, or (N, H, W) masks.
        target_kind: ``"categories"``, ``"numbers"``, ``"masks"``, ``"inputs"``: the inputs themselves,
            ``"labels"``: any of several labels, ``"anomalies"``: what is unusual, or nothing at all, or
            ``"sequences"``: texts.
        target_name: the target column's name, where it has one.
        feature_names: names of the columns or vector entries.
        classes: display names in the order of the class indices; empty for numbers.
        part: ``"train"``, ``"val"`` or ``"test"`` for each example, where the source itself fixes it.
        notes: what was inferred, dropped or missing.
        origin: ``"sklearn:digits"``, the path as given, or ``"arrays"``.
        fingerprint: SHA-256 over the bytes of inputs and targets.
    """

    name: str
    kind: str
    inputs: Array | Table | torch.Tensor
    targets: Array
    target_kind: str
    target_name: str | None
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    part: Array | None
    notes: tuple[str, ...]
    origin: str
    fingerprint: str

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one raw example, without the batch axis; for a table, its number of columns."""
        if isinstance(self.inputs, Table):
            return (len(self.inputs.columns),)
        return tuple(self.inputs.shape[1:])

    @property
    def text(self) -> str:
        """One line for a person: how many, of what, to be told apart how.

        Example:
            >>> from preceptor.data import load
            >>> load("digits").text
            '1,797 images 8×8 · 10 classes'
        """
        shape = self.shape
        if self.kind == "images":
            what = "images " + "×".join(map(str, shape[1:] + (shape[:1] if shape[0] != 1 else ())))
        elif self.kind == "tensors":
            what = "examples " + ("×".join(map(str, shape)) or "of one number")
        elif self.kind in ("pairs", "tokens", "lines"):
            what = {"pairs": "pairs of texts", "lines": "lines of text"}.get(self.kind, "sentences")
        else:
            what = f"rows × {shape[0]} columns"
        goal = {
            "categories": f"{len(self.classes)} classes",
            "masks": f"masks of {len(self.classes)} classes",
            "inputs": "to be predicted from themselves",
            "labels": f"{len(self.classes)} labels",
            "texts": f"texts of {len(self.classes)} symbols",
            "tags": f"tags of {len(self.classes)} kinds",
            "trees": f"trees of {len(self.classes)} kinds of constituents",
            "anomalies": "anomalies among them" if self.classes else "no targets",
            "sequences": "to be translated",
            "next-symbols": "to be continued",
        }
        return f"{len(self):,} {what} · {goal.get(self.target_kind, 'numbers to predict')}"


def take(inputs: Array | Table | torch.Tensor, rows: Array) -> Array | Table | torch.Tensor:
    """Return those rows of raw inputs, whatever their kind."""
    if isinstance(inputs, Table):
        return inputs.take(rows)
    if isinstance(inputs, torch.Tensor):
        return inputs[torch.from_numpy(np.asarray(rows, dtype=np.int64))]
    return inputs[rows]


def fingerprint(inputs: Array | Table | torch.Tensor, targets: Array) -> str:
    """Return the SHA-256 over types, shapes and bytes of inputs and targets, as 64 hexadecimal digits.

    Example:
        >>> fingerprint(np.zeros((2, 1)), np.array([0, 1]))[:8]
        '4d81e0e5'
    """
    digest = hashlib.sha256()
    if isinstance(inputs, Table):
        for column in inputs.columns:
            digest.update(f"{column.name}\0{column.kind}\0".encode())
            _absorb(digest, column.values)
    else:
        _absorb(digest, inputs.numpy() if isinstance(inputs, torch.Tensor) else inputs)
    _absorb(digest, targets)
    return digest.hexdigest()


def _absorb(digest: hashlib._Hash, values: Array) -> None:
    digest.update(f"{values.dtype.kind}{values.dtype.itemsize}{values.shape}".encode())
    if values.dtype == object:
        digest.update(json.dumps(values.tolist()).encode())
    else:
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
