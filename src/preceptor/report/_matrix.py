"""The confusion matrix as a figure, and the table of scores per class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from preceptor.report import _scores
from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import count, fixed, part_name, percent, short
from preceptor.report._plot import Trace, packed
from preceptor.report._table import Table
from preceptor.report.summary import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["class_table", "confusion_matrix", "confusion_pairs"]

CLASSES_DRAWN = 30
PAIRS_SHOWN = 10
_COUNTS_DRAWN = 15  # with more classes the cells are too small for a number
_STEPS = 8  # shades of a cell


def confusion_matrix(predictions: Predictions) -> Drawing | None:
    """Draw rows of true and columns of predicted classes; None with no example or more than 30 classes."""
    names = _scores.class_names(predictions)
    if not len(predictions) or not names or len(names) > CLASSES_DRAWN:
        return None
    matrix = _scores.confusion(predictions, len(names))
    right, total = int(np.trace(matrix)), int(matrix.sum())
    part = part_name(predictions.part)
    alt = (
        f"Confusion matrix of {len(names)} classes: {count(right)} of {count(total)} {part} examples are on "
    )
    alt += f"the diagonal ({percent(right / total if total else None)})."
    pairs = _scores.mistakes(predictions, len(names))
    if pairs:
        true, predicted, times = pairs[0]
        alt += f" Most often {names[true]} was taken for {names[predicted]} ({count(times)}×)."
    caption = "Rows: true. Columns: predicted. The stronger the colour, the larger the share of the row."
    with style():
        picture, plot = _draw(matrix, [short(name) for name in names], alt)
    rows = tuple((name, *(count(n) for n in matrix[k])) for k, name in enumerate(names))
    head = ("true \\ predicted", *map(escape, names))  # classes are no terms, whatever they are called
    table = Table("Counts: true class by predicted class", head, rows)
    return Drawing("confusion", "Confusion matrix", alt, picture, caption, table, plot)


def _readings(matrix: NDArray[np.int64], names: list[str]) -> Trace:
    true, predicted = (places.ravel() for places in np.indices(matrix.shape))
    shares = (matrix / np.maximum(1, matrix.sum(1, keepdims=True))).ravel()
    texts = [
        f"true {names[i]}, predicted {names[j]}: {count(int(n))}, {percent(share)} of the row"
        for i, j, n, share in zip(true, predicted, matrix.ravel(), shares, strict=True)
    ]
    return Trace("cells", "ink", predicted + 0.5, true + 0.5, texts=texts)


def _draw(matrix: NDArray[np.int64], names: list[str], alt: str) -> tuple[str, str]:
    n, size = len(names), 460.0
    font = 11.0 if n <= 12 else 9.0
    longest = max(len(name) for name in names)
    upright = longest * font * 0.62 <= (size - 90) / n  # the names fit side by side
    left = 30 + longest * font * 0.6
    top = 32 + (font if upright else longest * font * 0.6)
    figure, axes = page(size, size - left + top, left=left, right=4, bottom=4, top=top)
    axes.set_xlim(0, n)
    axes.set_ylim(n, 0)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0, labelsize=font, labeltop=True, labelbottom=False)
    axes.set_xticks(np.arange(n) + 0.5, names, rotation=0 if upright else 90)
    axes.set_yticks(np.arange(n) + 0.5, names)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", labelpad=7)
    axes.set_ylabel("true")
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    # The eye should find rare mistakes, so shades follow the square root of the share.
    shade = np.ceil(np.sqrt(share) * _STEPS).astype(int)
    diagonal = np.eye(n, dtype=bool)
    for step in range(1, _STEPS + 1):
        for token, where in (("hit", diagonal), ("miss", ~diagonal)):
            _cells(axes, np.argwhere((shade == step) & where), TOKENS[token], 0.2 + 0.8 * step / _STEPS)
    _cells(axes, np.argwhere(shade == 0), TOKENS["rule"], 0.3)
    if n <= _COUNTS_DRAWN:
        for i, j in np.argwhere(matrix > 0):
            axes.text(j + 0.5, i + 0.5, str(matrix[i, j]), ha="center", va="center", fontsize=font)
    picture = svg(figure, "confusion", alt)
    return picture, packed(axes, [_readings(matrix, names)], unit="", kind="points", zoom=False)


def _cells(axes: Axes, cells: NDArray[np.intp], colour: str, opacity: float) -> None:
    """Draw all cells of one shade as a single path: 900 cells stay a few kilobytes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(cells):
        return
    gap = 0.03
    corners = np.array([[gap, gap], [1 - gap, gap], [1 - gap, 1 - gap], [gap, 1 - gap], [gap, gap]])
    points = (cells[:, None, ::-1] + corners[None]).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(cells))
    axes.add_patch(PathPatch(Path(points, codes), facecolor=colour, edgecolor="none", alpha=opacity))


def class_table(predictions: Predictions) -> Table:
    """Return precision, recall and F1 per class; of more than 30 classes the 30 with the lowest F1."""
    names = _scores.class_names(predictions)
    s = _scores.scores(predictions, len(names))
    order = np.arange(len(names))
    note = ""
    if len(names) > CLASSES_DRAWN:
        order = np.argsort(s.f1, kind="stable")[:CLASSES_DRAWN]  # NaN sorts last: nothing is known of it
        note = f"The {CLASSES_DRAWN} of {count(len(names))} classes with the lowest F1."
    columns = (s.precision, s.recall, s.f1)
    rows = [(names[k], count(s.support[k]), *(fixed(column[k]) for column in columns)) for k in order]
    means = (fixed(np.mean(c[~np.isnan(c)])) if not np.isnan(c).all() else "–" for c in columns)
    rows.append(("mean of classes", count(s.support.sum()), *means))
    return Table("Scores per class", ("class", "examples", "precision", "recall", "F1"), tuple(rows), note)


def confusion_pairs(predictions: Predictions) -> Table | None:
    """Return the most frequent confusions; None where nothing was confused."""
    names = _scores.class_names(predictions)
    pairs = _scores.mistakes(predictions, len(names))
    if not pairs:
        return None
    support = _scores.scores(predictions, len(names)).support
    rows = tuple(
        (names[true], names[predicted], count(times), percent(times / support[true]))
        for true, predicted, times in pairs[:PAIRS_SHOWN]
    )
    note = f"{PAIRS_SHOWN} of {count(len(pairs))} confusions." if len(pairs) > PAIRS_SHOWN else ""
    head = ("true", "taken for", "times", "share of the true class")
    return Table("Most frequent confusions", head, rows, note, text=frozenset({0, 1}))
