"""Whether two samples come from one distribution: counts of values, and a sample beside kept quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array

__all__ = ["compare_counts", "counts_of", "quantile_distance"]


def counts_of(a: Array, b: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the distinct values of two samples, and how often each has them, (2, K)."""
    distinct, inverse = np.unique(np.concatenate([a, b]), return_inverse=True)
    both = (inverse.reshape(-1)[: len(a)], inverse.reshape(-1)[len(a) :])
    return distinct, np.stack([np.bincount(part, minlength=len(distinct)) for part in both])


def compare_counts(table: NDArray[np.int64]) -> tuple[float, float]:
    """Return half the sum of the differences of shares, and the p value of χ² over (2, K) counts.

    Values so rare that less than five are expected in the smaller sample count as one.

    Example:
        >>> distance, p = compare_counts(np.array([[50, 50], [90, 10]]))
        >>> f"{distance:.2f}", p < 1e-6
        ('0.40', True)
    """
    from scipy.stats import chi2_contingency

    sizes = table.sum(axis=1)
    common = table.sum(axis=0) * sizes.min() >= 5 * sizes.sum()
    kept = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    kept = kept[:, kept.sum(axis=0) > 0]
    if kept.shape[1] < 2 or not sizes.min():
        return 0.0, 1.0
    distance = float(np.abs(kept[0] / sizes[0] - kept[1] / sizes[1]).sum() / 2)
    return distance, float(chi2_contingency(kept, correction=False).pvalue)


def quantile_distance(
    quantiles: NDArray[np.float64], n: int, sample: NDArray[np.float64]
) -> tuple[float, float]:
    """Return Kolmogorov and Smirnov's D between a sample and n values known by K quantiles, and its p.

    D = max_x |F(x) − G(x)|, over both limits at each x, less 1/(K − 1), which is what the quantiles leave
    open; its p value is that for n m/(n + m) values.

    Arguments:
        quantiles: evenly spaced from the smallest to the largest value, (K,), ascending.
        n: how many values they stand for.
        sample: (m,), finite.

    Example:
        >>> kept = np.linspace(0, 1, 65)
        >>> f"{quantile_distance(kept, 1000, np.linspace(0.5, 1, 100))[0]:.2f}"
        '0.48'
    """
    from scipy.stats import kstwo

    x, m = np.sort(sample), len(sample)
    distinct, counts = np.unique(x, return_counts=True)
    upto = np.cumsum(counts) / m
    below = upto - counts / m
    gaps = (
        np.abs(upto - _share(quantiles, distinct, "right")),
        np.abs(below - _share(quantiles, distinct, "left")),
    )
    distance = max(0.0, float(np.maximum(*gaps).max()) - 1 / (len(quantiles) - 1))
    return distance, float(kstwo.sf(distance, max(1, round(n * m / (n + m)))))


def _share(quantiles: NDArray[np.float64], x: NDArray[np.float64], side: str) -> NDArray[np.float64]:
    """Return which share of the values is at most x (``"right"``), or below it (``"left"``)."""
    k = len(quantiles)
    place = np.searchsorted(quantiles, x, side=side)  # type: ignore[call-overload]  # side is "left" or "right"
    inside = np.clip(place, 1, k - 1)
    low, high = quantiles[inside - 1], quantiles[inside]
    within = np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return np.where(place == 0, 0.0, np.where(place == k, 1.0, (inside - 1 + within) / (k - 1)))
