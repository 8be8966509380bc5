"""Checks of the split: whether validation and test are distributed as training is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data._targets import class_name
from preceptor.data._two_samples import compare_counts, counts_of
from preceptor.data.audit._remark import Check, Remark, listed
from preceptor.data.audit._subject import Subject, drawn

__all__ = ["CHECKS", "auc_interval"]

_LEVEL = 1e-3
_DISTANCE = 0.1  # of distribution functions: less shifts nothing that matters
_AUC = 0.6
_Z = 3.29  # of a 99.9 % interval
_LEAST_ROWS = 20
_MOST_ROWS = 500
_TREES = 60


def shifted_columns(subject: Subject) -> Iterator[Remark]:
    """Columns whose values in validation or test are distributed otherwise than in training.

    Kolmogorov and Smirnov's distance D for numbers, χ² for categories and classes; named where
    p < 0.001/(columns × parts) and D ≥ 0.1.
    """
    from scipy.stats import ks_2samp

    part_of = _usual(subject)[subject.sample]
    values, names = subject.numbers
    held = [
        (code, part) for code, part in ((1, "val"), (2, "test")) if (part_of == code).sum() >= _LEAST_ROWS
    ]
    tests = max(1, len(held) * (len(names) + len(subject.codes) + 1))
    train = part_of == 0
    for code, part in held:
        own, found = part_of == code, {}
        for name, column in zip(names, values.T, strict=True):
            a, b = (column[rows & ~np.isnan(column)] for rows in (train, own))
            if len(a) and len(b):
                test = ks_2samp(a, b, method="asymp")
                if test.pvalue < _LEVEL / tests and test.statistic >= _DISTANCE:
                    found[name] = float(test.statistic)
        for name, coded in _coded(subject):
            distance, p = compare_counts(counts_of(coded[train], coded[own])[1])
            if p < _LEVEL / tests and distance >= _DISTANCE:
                found[name] = distance
        if found:
            worst = sorted(found, key=lambda name: -found[name])
            yield Remark(
                "warning",
                f"distributed otherwise in {part} than in training: "
                + listed([f"{name} (D = {found[name]:.2f})" for name in worst]),
                "find out how the parts were made; split anew, or collect training data like those in use",
                columns=tuple(worst),
                evidence={"part": part, **found},
            )


def _usual(subject: Subject) -> Array:
    """The part of each row; −1 for anomalies too, which are held out on purpose."""
    dataset = subject.dataset
    found: Array = subject.part_of.copy()
    if dataset.target_kind == "anomalies" and dataset.classes:
        found[[class_name(value) in dataset.classes for value in dataset.targets.tolist()]] = -1
    return found


def _coded(subject: Subject) -> Iterator[tuple[str, Array]]:
    yield from subject.codes
    if subject.labels is not None:
        yield "the classes", subject.labels[subject.sample]


def told_apart(subject: Subject) -> Iterator[Remark]:
    """Parts that a classifier can tell from training: its area under the curve on examples it did not see.

    A forest is trained to say which part an example is from; by each tree the examples that it left out are
    judged. Named where the AUC is at least 0.6 and its 99.9 % interval lies above 0.5. Lopez-Paz and Oquab,
    Revisiting Classifier Two-Sample Tests, 2017.
    """
    rows, x = subject.encoded
    part_of = _usual(subject)[rows]
    for code, part in ((1, "val"), (2, "test")):
        own = _some(np.flatnonzero(part_of == code), _MOST_ROWS)
        train = _some(np.flatnonzero(part_of == 0), 2 * len(own))
        if min(len(own), len(train)) < _LEAST_ROWS or not x.shape[1]:
            continue
        auc = _out_of_bag_auc(x[train], x[own])
        low, high = auc_interval(auc, len(own), len(train))
        if auc >= _AUC and low > 0.5:
            yield Remark(
                "warning",
                f"{part} and training examples can be told apart: AUC {auc:.2f} "
                f"(99.9 % interval {low:.2f}–{high:.2f})",
                "the parts are not of one kind: what is measured on one holds for the other only in part",
                evidence={"part": part, "auc": auc, "interval": [low, high]},
            )


def _some(rows: Array, most: int) -> Array:
    return rows[drawn(len(rows), most)]


def _out_of_bag_auc(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    forest = RandomForestClassifier(_TREES, min_samples_leaf=5, oob_score=True, random_state=0, n_jobs=1)
    which = np.repeat([0, 1], [len(a), len(b)])
    forest.fit(np.concatenate([a, b]), which)
    return float(roc_auc_score(which, np.nan_to_num(forest.oob_decision_function_[:, 1], nan=0.5)))


def auc_interval(auc: float, positive: int, negative: int, z: float = _Z) -> tuple[float, float]:
    """Return an interval of an area under the curve, by Hanley and McNeil (1982).

    Example:
        >>> low, high = auc_interval(0.7, 100, 100, z=1.96)
        >>> f"{low:.2f} to {high:.2f}"
        '0.63 to 0.77'
    """
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    squares = auc * (1 - auc) + (positive - 1) * (q1 - auc * auc) + (negative - 1) * (q2 - auc * auc)
    half = z * math.sqrt(max(squares, 0.0) / (positive * negative))
    return max(0.0, auc - half), min(1.0, auc + half)


CHECKS = (
    Check("shifted-columns", "parts are distributed alike", shifted_columns),
    Check("told-apart", "parts cannot be told apart", told_apart, quick=False),
)
