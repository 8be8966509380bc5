"""The history of a training: one row an epoch, to slice, to save and to read back."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any, overload

from preceptor.errors import UnknownName

__all__ = ["History", "Row"]

Row = dict[str, Any]


class History:
    """One dict an epoch, sliced by epoch and by key.

    Keys: ``epoch`` (from 1), ``train_loss`` and ``train_<metric>`` (measured at the epoch's end in
    evaluation mode on a fixed part of the training set), ``train_loss_running`` (the mean over the
    epoch's steps, with dropout on and weights that moved), ``val_loss``, ``val_<metric>``, ``lr``,
    ``seconds``.

    Example:
        >>> history = History([{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.4}])
        >>> history[-1, "val_loss"]
        0.4
        >>> history[:, "val_loss"]
        [0.5, 0.4]
        >>> history[0]
        {'epoch': 1, 'val_loss': 0.5}
    """

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = list(rows or [])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]  # it changes as training goes on

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> list[Row]: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    @overload
    def __getitem__(self, key: tuple[int | slice, str]) -> Any: ...

    def __getitem__(self, key: int | slice | str | tuple[int | slice, str]) -> Any:
        if isinstance(key, str):
            key = (slice(None), key)
        if not isinstance(key, tuple):
            return self.rows[key]
        where, name = key
        if self.rows and not any(name in row for row in self.rows):
            raise UnknownName("history key", name, self.keys())
        chosen = self.rows[where]
        return chosen.get(name) if isinstance(chosen, dict) else [row.get(name) for row in chosen]

    def keys(self) -> list[str]:
        """Return every key that some row has, in order of first appearance."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def without(self, *names: str) -> list[Row]:
        """Return the rows without some keys (``seconds``, to compare two runs bit for bit)."""
        return [{k: v for k, v in row.items() if k not in names} for row in self.rows]

    def to_csv(self) -> str:
        """Return the history as CSV text; floats are written so that they read back exactly.

        Example:
            >>> print(History([{"epoch": 1, "lr": 0.1}]).to_csv().strip())
            epoch,lr
            1,0.1
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.keys(), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @classmethod
    def from_csv(cls, text: str) -> History:
        """Read a history back from CSV text; empty cells are None.

        Raises:
            ValueError: rows of different lengths, or no CSV.

        Example:
            >>> History.from_csv("epoch,val_loss\\n1,0.25\\n2,\\n")[:, "val_loss"]
            [0.25, None]
        """
        try:
            names, *rows = csv.reader(io.StringIO(text)) if text.strip() else [[]]
        except csv.Error as error:
            raise ValueError(str(error)) from error
        return cls([dict(zip(names, map(_number, row), strict=True)) for row in rows if row])

    def best(self, monitor: str, mode: str) -> int | None:
        """Return the index of the row with the best finite value of ``monitor``, None where there is none."""
        sign = 1 if mode == "min" else -1
        values = [row.get(monitor) for row in self.rows]
        finite = [
            (sign * v, i) for i, v in enumerate(values) if isinstance(v, int | float) and math.isfinite(v)
        ]
        return min(finite)[1] if finite else None


def _number(text: str) -> Any:
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
