"""Predictions with their pictures: the worst and the best, class by class, and the confusions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preceptor.report import _scores
from preceptor.report._format import count, fixed, part_name, percent
from preceptor.report._images import pixels
from preceptor.report.looks import Look, Row, Shown
from preceptor.report.summary import Predictions, worst

__all__ = ["classes", "confusions", "extremes"]

_EXTREMES = 8
_CLASSES = 12
_EACH = 4  # examples a row, of each kind
_PAIRS = 6


def extremes(predictions: Predictions) -> Look | None:
    """Show the examples with the largest loss, and those with the smallest."""
    if predictions.images is None or not len(predictions):
        return None
    finite = np.where(np.isfinite(predictions.losses), predictions.losses, np.inf)
    part = part_name(predictions.part)
    rows = (
        _row(predictions, f"the largest losses, {part}", worst(predictions.losses)),
        _row(predictions, f"the smallest losses, {part}", np.argsort(finite, kind="stable")[:_EXTREMES]),
    )
    return Look("examples", "Worst and best", "Below each image: what is predicted, and how surely.", rows)


def classes(predictions: Predictions) -> Look | None:
    """Show for each class, the worst first, how much of it was found, and what was missed and found."""
    if predictions.images is None or predictions.kind != "classification" or not len(predictions):
        return None
    names = _scores.class_names(predictions)
    scores = _scores.scores(predictions, len(names))
    order = [int(k) for k in np.argsort(scores.recall, kind="stable") if scores.support[k]]
    target, right = predictions.target, predictions.target == predictions.predicted
    rows = []
    for k in order[:_CLASSES]:
        missed = _sorted(predictions, (target == k) & ~right, largest=True)[:_EACH]
        found = _sorted(predictions, (target == k) & right, largest=False)[:_EACH]
        share = f"{percent(scores.recall[k])} of {count(scores.support[k])} found"
        rows.append(_row(predictions, f"{names[k]}: {share}", np.concatenate([missed, found])))
    lead = f"Each class of the {part_name(predictions.part)} examples: the worst that were missed, then the "
    lead += "surest that were found."
    if len(order) > _CLASSES:
        lead += f" The {_CLASSES} of {count(len(order))} classes of which least was found."
    return Look("classes", "Class by class", lead, tuple(rows))


def confusions(predictions: Predictions) -> Look | None:
    """Show examples of the most frequent confusions; None where nothing was confused."""
    if predictions.images is None or predictions.kind != "classification" or not len(predictions):
        return None
    names = _scores.class_names(predictions)
    pairs = _scores.mistakes(predictions, len(names))
    if not pairs:
        return None
    rows = []
    for true, taken, times in pairs[:_PAIRS]:
        chosen = (predictions.target == true) & (predictions.predicted == taken)
        shown = _sorted(predictions, chosen, largest=True)[: 2 * _EACH]
        rows.append(_row(predictions, f"{names[true]} taken for {names[taken]}, {count(times)}×", shown))
    lead = "The most frequent confusions, the surest mistakes of each first."
    return Look("confusions", "What was confused", lead, tuple(rows))


def _sorted(predictions: Predictions, chosen: NDArray[np.bool_], *, largest: bool) -> NDArray[np.intp]:
    where = np.flatnonzero(chosen)
    losses = np.nan_to_num(predictions.losses[where], nan=np.inf)
    return where[np.argsort(-losses if largest else losses, kind="stable")]


def _row(predictions: Predictions, label: str, indices: Sequence[int] | NDArray[np.intp]) -> Row:
    chosen = [int(i) for i in indices]
    assert predictions.images is not None  # noqa: S101 - who calls has looked
    found = pixels(predictions.images, chosen)
    pictures = [
        Shown(image, caption(predictions, i))
        for i, image in zip(chosen, found, strict=True)
        if image is not None
    ]
    return Row(label, tuple(pictures))


def caption(predictions: Predictions, index: int) -> str:
    """Return what was predicted for an example, and how surely; where that is wrong, what it is."""
    if predictions.kind != "classification":
        return ", ".join(fixed(v) for v in np.ravel(predictions.predicted[index])[:3])
    names = _scores.class_names(predictions)
    target, taken = int(predictions.target[index]), int(predictions.predicted[index])
    sure = ""
    if predictions.probabilities is not None and taken < np.shape(predictions.probabilities)[1]:
        sure = f" {fixed(predictions.probabilities[index][taken], 2)}"
    return names[taken] + sure + ("" if target == taken else f", is {names[target]}")
