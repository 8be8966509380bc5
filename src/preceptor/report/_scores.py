"""Counts and scores of classified examples, in memory linear in examples and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.report._format import label
from preceptor.report.summary import Predictions

__all__ = ["Scores", "class_names", "confusion", "mistakes", "scores"]


@dataclass(frozen=True)
class Scores:
    """Per class, shape (K,): examples, right ones, precision, recall, F1; NaN where a quotient is 0/0."""

    support: NDArray[np.int64]
    hits: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def class_names(predictions: Predictions) -> tuple[str, ...]:
    """Return a display name for every class that is named, true or predicted."""
    target, predicted = _pairs(predictions)
    known = predictions.classes
    n = max(len(known), int(target.max(initial=-1)) + 1, int(predicted.max(initial=-1)) + 1)
    return tuple(label(known[k], 40) if k < len(known) else f"class {k}" for k in range(n))


def _pairs(predictions: Predictions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return target and predicted of the examples that count; a negative target marks an ignored one."""
    target = np.asarray(predictions.target).astype(np.int64).ravel()
    predicted = np.asarray(predictions.predicted).astype(np.int64).ravel()
    counts = (target >= 0) & (predicted >= 0)
    return target[counts], predicted[counts]


def confusion(predictions: Predictions, classes: int) -> NDArray[np.int64]:
    """Return the K×K matrix of counts, rows the true class, columns the predicted one."""
    target, predicted = _pairs(predictions)
    counts: NDArray[np.int64] = np.bincount(classes * target + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def scores(predictions: Predictions, classes: int) -> Scores:
    """Return precision = TP/(TP+FP), recall = TP/(TP+FN), F1 = 2TP/(2TP+FP+FN) of each class."""
    target, predicted = _pairs(predictions)
    support = np.bincount(target, minlength=classes)
    claimed = np.bincount(predicted, minlength=classes)
    hits = np.bincount(target[target == predicted], minlength=classes)

    def ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
        quotient = np.full(classes, np.nan)
        np.divide(above, below, out=quotient, where=below > 0)
        return quotient

    return Scores(
        support, hits, ratio(hits, claimed), ratio(hits, support), ratio(2 * hits, support + claimed)
    )


def mistakes(predictions: Predictions, classes: int) -> list[tuple[int, int, int]]:
    """Return (true, predicted, times) of every confusion that happened, the most frequent first."""
    target, predicted = _pairs(predictions)
    wrong = target != predicted
    codes, times = np.unique(classes * target[wrong] + predicted[wrong], return_counts=True)
    order = np.argsort(-times, kind="stable")
    return [(int(codes[i]) // classes, int(codes[i]) % classes, int(times[i])) for i in order]
