"""Many short rows of ids in one flat array: 4 bytes an id, and no Python object a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ragged"]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths.

    Attributes:
        flat: all ids, one row after the other, int32.
        starts: where each row begins, and the end of the last, int64.

    Example:
        >>> rows = Ragged.of([[1, 2, 3], [], [4]])
        >>> len(rows), rows[0], rows.lengths
        (3, array([1, 2, 3], dtype=int32), array([3, 0, 1]))
    """

    flat: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[Iterable[int]]) -> Ragged:
        """Lay rows out one after the other; they are gone through once."""
        parts = [np.asarray(list(row) if not isinstance(row, np.ndarray) else row, np.int32) for row in rows]
        starts = np.concatenate([[0], np.cumsum([len(p) for p in parts], dtype=np.int64)]).astype(np.int64)
        return cls(np.concatenate(parts) if parts else np.empty(0, np.int32), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.flat[self.starts[row] : self.starts[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many ids each row has."""
        return np.diff(self.starts)

    def take(self, rows: Iterable[int]) -> Ragged:
        """Return those rows as rows of their own."""
        return Ragged.of(self[int(row)] for row in rows)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over lengths and ids."""
        digest = hashlib.sha256(self.starts.astype("<i8").tobytes())
        digest.update(self.flat.astype("<i4").tobytes())
        return digest.hexdigest()
