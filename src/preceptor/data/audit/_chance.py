"""What occurs by chance: equal rows in coarse data, and neighbours that happen to be near."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data.audit._subject import Subject
from preceptor.data.audit._texts import coincidence

__all__ = ["beyond_chance", "dimension", "equal_by_chance", "nearer_than_chance"]

_LEVEL = 1e-3
_DEPENDENT = 10.0  # columns that go together make rows equal more often than independent ones would
_ENOUGH = -80.0  # bits: beyond, rows of any set differ
_WIDE = 64  # columns: more settle nothing
_LEAST_RATIO = 3.0  # r₁₀/r₁ below which no pair is called a copy, whatever the dimension
_FALSE = 0.01  # pairs expected by chance, in a whole set


def equal_by_chance(subject: Subject) -> float:
    """Return the chance that two rows of one class are equal, were its columns independent: Π_j Σ_v p_jv².

    The largest over the classes; 0 for data with hundreds of fine values a row. Of texts it is that of two
    whose words follow each other by chance alone.
    """
    if subject.sides:
        return coincidence(subject.sides[0].texts)
    labels = subject.labels
    groups = [np.arange(len(subject.sample))]
    if labels is not None:
        own = labels[subject.sample]
        groups = [np.flatnonzero(own == label) for label in np.unique(own)]
    return max((_alike(subject, rows) for rows in groups if len(rows) > 1), default=0.0)


def _alike(subject: Subject, rows: Array) -> float:
    bits = 0.0
    for column in _columns(subject):
        _, counts = np.unique(column[rows], return_counts=True)
        # Of distinct pairs: a column of values that all differ says that equal ones are rarer than one pair.
        pairs = max(1.0, float((counts * (counts - 1)).sum())) / (len(rows) * (len(rows) - 1))
        bits += float(np.log2(pairs))
        if bits < _ENOUGH:
            return 0.0
    return float(2.0**bits)


def _columns(subject: Subject) -> Iterator[Array]:
    """Yield the columns' values at the sample's rows; of many, some that are evenly spread."""
    dataset, wide = subject.dataset, subject.numbers.values.shape[1]
    if dataset.kind in ("images", "tensors"):
        flat = np.asarray(dataset.inputs).reshape(len(dataset), -1)
        for j in np.unique(np.linspace(0, flat.shape[1] - 1, _WIDE).astype(int)):
            yield flat[subject.sample, j]
        return
    for j in np.unique(np.linspace(0, wide - 1, min(wide, _WIDE)).astype(int)) if wide else ():
        yield subject.numbers.values[:, j]
    for _, coded in subject.codes:
        yield coded


def beyond_chance(count: int, expected: float) -> bool:
    """Tell whether so many equal rows are more than chance, P(X ≥ count) < 0.001 for X ~ Poisson(10 λ).

    Example:
        >>> beyond_chance(1, 0.4), beyond_chance(20, 0.4), beyond_chance(1, 1e-9)
        (False, True, True)
    """
    from scipy.stats import poisson

    return bool(poisson.sf(count - 1, _DEPENDENT * expected) < _LEVEL)


def dimension(distance: NDArray[np.float64]) -> float:
    """Return how many dimensions rows fill, by distances to their ten nearest others, (n, 10).

    The estimate at a row is 1/mean_j ln(r₁₀/r_j) over the second to the ninth nearest; returned is its lower
    quartile, on the safe side. Levina and Bickel, Maximum Likelihood Estimation of Intrinsic Dimension, 2004.
    """
    inner, outer = distance[:, 1:-1], distance[:, -1:]
    known = inner[:, 0] > 0
    if not known.any():
        return 1.0
    logs = np.log(outer[known] / inner[known]).mean(axis=1)
    return float(np.quantile(1.0 / np.maximum(logs, 1e-3), 0.25))


def nearer_than_chance(distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the ten nearest others (n, 10) are too near to be others.

    Example:
        >>> from preceptor.data.audit._subject import nearest_rows
        >>> x = np.random.default_rng(0).normal(size=(300, 8))
        >>> nearer_than_chance(nearest_rows(x)[1]).any()
        np.False_
        >>> x[7] = x[5] + 0.01
        >>> np.flatnonzero(nearer_than_chance(nearest_rows(x)[1]).any(axis=1))
        array([5, 7])
    """
    n, inner = len(distance), distance.shape[1] - 1
    ratio = max(_LEAST_RATIO, float((inner * n / _FALSE) ** (1.0 / max(dimension(distance), 1e-3))))
    return distance * ratio < distance[:, -1:]
