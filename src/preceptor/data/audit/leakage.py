"""Check of target leakage: one column that says the target all but perfectly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data.audit._remark import Check, Remark, listed
from preceptor.data.audit._subject import Subject

__all__ = ["CHECKS", "skill"]

_TELLS = 0.98  # of what can be known
_LEAST_ROWS = 30
_SHUFFLES = 19  # of the targets: beaten in all of them, p = 0.05
_SOME = 0.5  # of the columns that may tell it all; else the task is merely easy


def skill(columns: NDArray[np.float64], targets: Array, *, classes: bool) -> NDArray[np.float64]:
    """Return how much each column says of the target by itself, (D,): 1 if all, 0 if nothing.

    Rows are sorted by the column, equal values by chance. Of classes it is (a − a₀)/(1 − a₀) with a the share
    of neighbours in that order that have one class, and a₀ that of neighbours drawn by chance; of numbers it
    is Chatterjee's ξ = 1 − 3 Σ|r_(i+1) − r_i|/(n² − 1) with ranks r; both of the most that n rows can have.
    Chatterjee, A New Coefficient of Correlation, 2021.

    Example:
        >>> x = np.arange(100.0)[:, None]
        >>> float(skill(x, (x[:, 0] > 40).astype(int), classes=True)[0]) > 0.97
        True
        >>> float(skill(x, np.square(x[:, 0] - 50), classes=False)[0]) > 0.9
        True
    """
    order = np.argsort(columns, axis=0, kind="stable")
    n = len(targets)
    if classes:
        sorted_classes = targets[order]
        shares = np.unique(targets, return_counts=True)[1] / n
        changes = (sorted_classes[1:] != sorted_classes[:-1]).sum(axis=0)
        together = 1 - np.maximum(0, changes - (len(shares) - 1)) / (n - 1)  # K classes change K − 1 times
        chance = float(np.square(shares).sum())
        told: NDArray[np.float64] = (together - chance) / max(1 - chance, 1e-12)
        return told
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable").astype(np.float64)
    found: NDArray[np.float64] = 1 - 3 * np.abs(np.diff(ranks[order], axis=0)).sum(axis=0) / (n * n - 1.0)
    return found / (1 - 3 / (n + 1))  # which n rows in order have


def leaks(subject: Subject) -> Iterator[Remark]:
    """Columns that by themselves predict the target nearly perfectly, beyond what shuffled targets allow."""
    classes = subject.labels is not None
    targets = subject.labels if classes else subject.amounts
    values, names = _tried(subject)
    n = len(values)
    if targets is None or n < _LEAST_ROWS or values.shape[1] < 2:
        return
    draw = np.random.default_rng(0)
    shuffled = draw.permutation(n)  # so that equal values stand in no order
    values, own = values[shuffled], targets[subject.sample][shuffled]
    found = skill(values, own, classes=classes)
    telling = np.flatnonzero(found >= _TELLS)
    if not len(telling) or len(telling) > _SOME * values.shape[1]:
        return
    chance = max(
        float(skill(values[:, telling], draw.permutation(own), classes=classes).max())
        for _ in range(_SHUFFLES)
    )
    if chance >= _TELLS:
        return
    columns = tuple(dict.fromkeys(names[j] for j in telling))
    yield Remark(
        "warning",
        f"the target can be read off {listed(columns)} alone: {found[telling].max():.3f} of what can be "
        f"known; of shuffled targets at most {max(chance, 0.0):.3f}",
        "ask whether it is known before the target is; if not, leave it out",
        columns=columns,
        evidence={"skill": found[telling], "by chance": chance},
    )


def _tried(subject: Subject) -> tuple[NDArray[np.float64], list[str]]:
    """Return what is tried: numbers, categories as codes, and whether a value is missing at all."""
    values, names = subject.numbers
    columns, called = [values], list(names)
    gaps = np.flatnonzero(np.isnan(values).any(axis=0))
    columns.append(np.isnan(values[:, gaps]).astype(np.float64))
    called += [f"{names[j]} being missing" for j in gaps]
    for name, coded in subject.codes:
        distinct, inverse = np.unique(coded, return_inverse=True)
        if 2 * len(distinct) <= len(coded):  # else it names the rows, and says nothing of new ones
            columns.append(inverse.reshape(-1, 1).astype(np.float64))
            called.append(name)
    return np.concatenate(columns, axis=1), called


CHECKS = (Check("target-leakage", "no column tells the target by itself", leaks),)
