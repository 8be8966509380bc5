"""Which words stand near each other, and how often: counted in one pass, kept as a sparse triangle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["Cooccurrences", "cooccurrence_matrix", "subsampled"]

_Ids: TypeAlias = NDArray[Any]
_Run: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
_PIECE = 1 << 18  # tokens whose pairs are sorted at once


@dataclass(frozen=True, eq=False)
class Cooccurrences:
    """The non-zero entries of a symmetric matrix of counts, those on and above the diagonal.

    Attributes:
        rows: word ids i, ascending, (n,) int32.
        columns: word ids j ≥ i, (n,) int32.
        counts: X_ij = X_ji > 0, (n,) float32.
        size: words in the vocabulary.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    counts: NDArray[np.float32]
    size: int

    def __len__(self) -> int:
        return len(self.counts)

    def matrix(self) -> csr_array:
        """Return the whole symmetric matrix, sparse, size × size."""
        off = self.rows != self.columns
        values = np.concatenate([self.counts, self.counts[off]])
        rows = np.concatenate([self.rows, self.columns[off]])
        columns = np.concatenate([self.columns, self.rows[off]])
        return csr_array((values, (rows, columns)), shape=(self.size, self.size))

    @property
    def text(self) -> str:
        """One line: entries, share of the matrix, memory as it is and as it would be whole."""
        cells = 2 * len(self) - int((self.rows == self.columns).sum())
        held = self.rows.nbytes + self.columns.nbytes + self.counts.nbytes
        return (
            f"{cells:,} of {self.size**2:,} entries ({cells / self.size**2:.2%}) in {held / 2**20:,.0f} MiB; "
            f"the whole matrix would take {4 * self.size**2 / 2**20:,.0f} MiB"
        )


@registered(
    kind="word-embedding",
    name="co-occurrence-matrix",
    aliases=("cooc", "word-co-occurrence-matrix", "co-occurrence-counts"),
    formula="X_ij = Σ over pairs of i and j at most `window` words apart in one line: 1 / distance "
    "(weighting 'harmonic') "
    "or 1 ('uniform'); X_ij = X_ji",
    shapes="ids (T,) or an iterable of such pieces; a negative id ends a line → the non-zero entries of a "
    "size × size "
    "matrix",
    when="what words keep company with: the input of GloVe and of factorisations",
    pitfalls="size² entries as a whole matrix; sparse it still grows with window and text. Words without an "
    "id are left "
    "out before the window is laid, not stepped over",
    source="Lund and Burgess, Producing High-Dimensional Semantic Spaces, 1996; Pennington, Socher and "
    "Manning, 2014",
    differs="GloVe's own program weights by 1 / distance, too; on small texts 'uniform' keeps rare pairs "
    "comparable",
    example="""
    >>> get('cooc', [0, 1, 2, -1, 0, 1], 3, window=2).matrix().toarray()
    array([[0. , 2. , 0.5],
           [2. , 0. , 1. ],
           [0.5, 1. , 0. ]], dtype=float32)
    """,
)
def cooccurrence_matrix(
    tokens: Any, size: int, window: int = 10, weighting: str = "harmonic"
) -> Cooccurrences:
    """Co-occurrence matrix: how often words stand near each other, counted piece by piece."""
    check_count("co-occurrence-matrix", "size", size)
    check_count("co-occurrence-matrix", "window", window)
    check_choice("co-occurrence-matrix", "weighting", weighting, ("harmonic", "uniform"))
    bits = window.bit_length()
    if 2 * max(size - 1, 1).bit_length() + bits > 62:
        raise DataError(
            "the vocabulary is too large to count pairs of", expected="fewer words", received=f"{size:,}"
        )
    runs: list[_Run] = []
    for piece, fresh in _pieces(tokens, size, window):
        runs.append(_counted(piece, fresh, size, (window, bits), weighting))
        while len(runs) > 1 and len(runs[-1][0]) * 2 > len(runs[-2][0]):
            runs[-2:] = [_merged(runs[-2:])]
    cells, counts = _merged(runs) if runs else (np.empty(0, np.int64), np.empty(0))
    rows, columns = (cells // size).astype(np.int32), (cells % size).astype(np.int32)
    return Cooccurrences(rows, columns, counts.astype(np.float32), size)


def _pieces(tokens: Any, size: int, window: int) -> Iterator[tuple[_Ids, int]]:
    """Yield the text in pieces, each behind the ``window`` words before it, and where it begins anew."""
    whole = hasattr(tokens, "__array__") or isinstance(tokens, list | tuple)
    carried: _Ids = np.empty(0, dtype=np.int64)
    for part in [tokens] if whole else tokens:
        ids = np.asarray(part)
        if ids.ndim != 1 or (len(ids) and (ids.dtype.kind not in "iu" or int(ids.max()) >= size)):
            raise DataError(
                "these are no word ids",
                expected=f"a row of whole numbers below {size}, negative ones at ends of lines",
                received=f"{ids.dtype} of shape {ids.shape}",
            )
        for start in range(0, len(ids), _PIECE):
            fresh = ids[start : start + _PIECE].astype(np.int64)
            piece = np.concatenate([carried, fresh])
            yield piece, len(carried)
            carried = piece[-window:]


def _counted(piece: _Ids, fresh: int, size: int, spans: tuple[int, int], weighting: str) -> _Run:
    """Count the pairs whose second word is new; cell and distance in one number, so that one sort does it."""
    window, bits = spans
    line = np.cumsum(piece < 0)
    keys = []
    for distance in range(1, min(window, len(piece) - 1) + 1):
        start = max(distance, fresh)
        a, b = piece[start - distance : len(piece) - distance], piece[start:]
        near = (a >= 0) & (b >= 0) & (line[start - distance : len(piece) - distance] == line[start:])
        a, b = a[near], b[near]
        keys.append(((np.minimum(a, b) * size + np.maximum(a, b)) << bits) | distance)
    packed = np.concatenate(keys) if keys else np.empty(0, dtype=np.int64)
    packed.sort()
    cells = packed >> bits
    values = 1.0 / (packed & ((1 << bits) - 1)) if weighting == "harmonic" else np.ones(len(packed))
    cells, sums = _summed(cells, values)
    sums[cells // size == cells % size] *= 2  # each of the two is near the other
    return cells, sums


def _merged(runs: list[_Run]) -> _Run:
    cells = np.concatenate([run[0] for run in runs])
    counts = np.concatenate([run[1] for run in runs])
    order = np.argsort(cells, kind="stable")  # merges runs that are sorted already
    return _summed(cells[order], counts[order])


def _summed(cells: NDArray[np.int64], values: NDArray[np.float64]) -> _Run:
    if not len(cells):
        return cells, values
    starts = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    return cells[starts], np.add.reduceat(values, starts)


def subsampled(
    tokens: Any, frequencies: Any, threshold: float = 1e-4, *, generator: np.random.Generator
) -> _Ids:
    """Leave out occurrences of frequent words at random, so that a window reaches further over the rare ones.

    A word with share f of the text is kept with probability min(1, √(threshold / f) + threshold / f);
    negative ids, which end lines, always are.

    Source: Mikolov et al., Distributed Representations of Words and Phrases, 2013; the form is that of its
    program.

    Example:
        >>> text = np.array([0] * 1000 + [1])
        >>> len(subsampled(text, np.array([1000, 1]), 1e-3, generator=np.random.default_rng(0))) < 100
        True
    """
    check_number("subsampling", "threshold", threshold, 0.0)
    ids = np.asarray(tokens)
    counts = np.asarray(frequencies, dtype=np.float64)
    if not threshold:
        return ids
    ratio = threshold * counts.sum() / np.maximum(counts, 1)
    keep = np.minimum(1, np.sqrt(ratio) + ratio)
    chosen: _Ids = ids[(ids < 0) | (generator.random(len(ids)) < keep[ids.clip(0)])]
    return chosen
