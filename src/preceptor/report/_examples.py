"""The worst predictions, as cards with images or as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from preceptor.report._format import count, fixed, label, number
from preceptor.report._images import data_uris
from preceptor.report._scores import class_names
from preceptor.report._table import Table
from preceptor.report.summary import Predictions, worst

__all__ = ["Card", "cards", "table"]


@dataclass(frozen=True)
class Card:
    """One example with its picture: what it is, what it was taken for, and how sure the model was."""

    row: str
    image: str
    alt: str
    target: str
    predicted: str
    sureness: str
    right: bool


def cards(predictions: Predictions) -> list[Card]:
    """Return a card for each of the worst predictions; none where there are no images."""
    if predictions.images is None or not len(predictions):
        return []
    indices = [int(i) for i in worst(predictions.losses)]
    found = []
    for i, image in zip(indices, data_uris(predictions.images, indices), strict=True):
        target, predicted = _said(predictions, i)
        row = count(predictions.rows[i])
        alt = f"row {row}: true {target}, predicted {predicted}"
        right = predictions.kind == "classification" and target == predicted
        found.append(Card(row, image, alt, target, predicted, _sureness(predictions, i), right))
    return found


def _said(predictions: Predictions, index: int) -> tuple[str, str]:
    """Return the true and the predicted value of one example as text."""
    pair = (predictions.target[index], predictions.predicted[index])
    if predictions.kind == "classification":
        names = class_names(predictions)
        true, predicted = (names[int(k)] if 0 <= int(k) < len(names) else f"class {int(k)}" for k in pair)
        return true, predicted
    true, predicted = (", ".join(number(v) for v in np.ravel(value)[:4]) for value in pair)
    return true, predicted


def _probability(predictions: Predictions, index: int, of: Any) -> str:
    if predictions.probabilities is None:
        return ""
    row = np.ravel(predictions.probabilities[index])
    return fixed(row[int(of)]) if 0 <= int(of) < len(row) else ""


def _sureness(predictions: Predictions, index: int) -> str:
    if predictions.kind == "classification":
        return _probability(predictions, index, predictions.predicted[index])
    return ""


def table(predictions: Predictions) -> Table | None:
    """Return the worst predictions as rows: true, predicted, loss, and what else is known."""
    if not len(predictions):
        return None
    sorts = predictions.kind == "classification"
    sure = sorts and predictions.probabilities is not None
    extra: tuple[str, ...] = ("probability of predicted", "probability of true") if sure else ()
    if not sorts:
        extra = ("residual",)
    rows = []
    for i in (int(i) for i in worst(predictions.losses)):
        target, predicted = _said(predictions, i)
        more: tuple[str, ...] = ()
        if sure:
            more = (_sureness(predictions, i), _probability(predictions, i, predictions.target[i]))
        elif not sorts:
            gaps = np.ravel(predictions.predicted[i]).astype(float) - np.ravel(predictions.target[i]).astype(
                float
            )
            more = (", ".join(number(v) for v in gaps[:4]),)
        rows.append((count(predictions.rows[i]), target, predicted, *more, number(predictions.losses[i])))
    unit = f" ({label(predictions.units, 24)})" if predictions.units else ""
    head = ("row", f"true{unit}", f"predicted{unit}", *extra, "loss")
    return Table("Worst predictions", head, tuple(rows), text=frozenset({0, 1, 2} if sorts else {0}))
