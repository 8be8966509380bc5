"""The figures of a report, each an inline SVG with a text alternative and the table of what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preceptor.report import ensemble
from preceptor.report._canvas import Drawing
from preceptor.report._curves import curves
from preceptor.report._matrix import confusion_matrix
from preceptor.report._residuals import against_actual, residual_histogram
from preceptor.report._shares import time_shares
from preceptor.report.summary import Predictions, Summary

__all__ = ["Drawing", "Figures", "draw"]


@dataclass(frozen=True)
class Figures:
    """The figures by section: learning curves, predictions and their errors, time."""

    curves: tuple[Drawing, ...]
    predictions: tuple[Drawing, ...]
    timing: tuple[Drawing, ...]

    def __iter__(self) -> Iterator[Drawing]:
        return iter((*self.curves, *self.predictions, *self.timing))


def draw(summary: Summary) -> Figures:
    """Draw every figure for which the summary holds numbers.

    Returns:
        Figures, whose sections are empty where there is nothing to draw: no finished epoch, no
        predictions, more than 30 classes, no timing.

    Example:
        >>> history = [{"epoch": 1, "train_loss": 0.9, "lr": 0.001}]
        >>> [d.title for d in draw(Summary("s", None, "T", "P", "E", "finished", history, 1, "train_loss"))]
        ['Loss', 'Learning rate']
    """
    timing = time_shares(summary.timing) if summary.timing else None
    return Figures(
        (*curves(summary), *_members(summary)),
        _predictions(summary.predictions) if summary.predictions else (),
        (timing,) if timing else (),
    )


def _predictions(predictions: Predictions) -> tuple[Drawing, ...]:
    if predictions.kind == "classification":
        found = [confusion_matrix(predictions)]
    else:
        found = [against_actual(predictions), residual_histogram(predictions)]
    return tuple(drawing for drawing in found if drawing)


def _members(summary: Summary) -> tuple[Drawing, ...]:
    drawn = ensemble.curves(summary.ensemble) if summary.ensemble else None
    return (drawn,) if drawn else ()
