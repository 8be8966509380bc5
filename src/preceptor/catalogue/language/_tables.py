"""What the estimators share: sums behind a context, and tables of part + weight × shorter context."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue.language._counts import Level, NgramCounts
from preceptor.catalogue.language._model import Floats, Table

__all__ = ["behind", "counts_of_counts", "interpolated", "lower", "per_context"]

Part = Callable[[int, Level], tuple[Floats, Floats]]


def per_context(counts: NgramCounts, k: int, values: NDArray[np.generic]) -> Floats:
    """Return the sum of ``values`` over the n-grams of order k behind each context of order k − 1."""
    rows = len(counts.levels[k - 2].keys) if k > 1 else 1
    sums = np.bincount(counts.levels[k - 1].contexts, weights=values, minlength=rows)
    return sums.astype(np.float64, copy=False)


def behind(counts: NgramCounts, k: int, numbers: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Return each n-gram's share of the ``numbers`` behind its context, and those sums."""
    totals = per_context(counts, k, numbers)
    whole = totals[counts.levels[k - 1].contexts]
    return np.divide(numbers, whole, out=np.zeros(len(whole)), where=whole > 0), totals


def lower(counts: NgramCounts, k: int, table: Table | None) -> Floats:
    """Return P_{k−1} of each n-gram of order k without its first word; below order 1 all are alike."""
    level = counts.levels[k - 1]
    if table is None:
        return np.full(len(level.keys), 1 / counts.size)
    return table.probabilities[level.suffixes]


def interpolated(counts: NgramCounts, part: Part) -> tuple[Table, ...]:
    """Make tables of P_k(w | context) = part(w) + weight(context) · P_{k−1}(w | shorter context)."""
    tables: list[Table] = []
    for k, level in enumerate(counts.levels, 1):
        own, weights = part(k, level)
        shorter = lower(counts, k, tables[-1] if tables else None)
        p = np.where(level.predicted, own + weights[level.contexts] * shorter, 0.0)
        tables.append(Table(p, weights))
    return tuple(tables)


def counts_of_counts(numbers: NDArray[np.generic], most: int) -> Floats:
    """Return how many n-grams occur 0, 1, …, ``most`` times."""
    held = np.bincount(np.minimum(numbers, most + 1).astype(np.int64), minlength=most + 2)
    return held[: most + 1].astype(np.float64)
