"""Regression seen example by example: predicted against actual, and how the residuals are spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import count, evenly, label, number, part_name
from preceptor.report._plot import Trace, packed
from preceptor.report._table import Table
from preceptor.report.summary import Predictions, worst

__all__ = ["against_actual", "residual_histogram"]

POINTS_DRAWN = 600
ROWS_SHOWN = 60
_BINS = 25
_DRAWABLE = 1e50


def _finite(
    predictions: Predictions,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str]:
    """Return target, predicted and loss of every number that can be drawn, and a note on the others."""
    target = np.asarray(predictions.target, dtype=np.float64)
    predicted = np.asarray(predictions.predicted, dtype=np.float64).reshape(target.shape)
    width = target[0].size if len(target) else 1
    losses = np.repeat(np.asarray(predictions.losses, dtype=np.float64).ravel(), width)
    x, y = target.ravel(), predicted.ravel()
    good = (np.abs(x) < _DRAWABLE) & (np.abs(y) < _DRAWABLE)
    left_out = int((~good).sum())
    note = f"{count(left_out)} pairs without a finite value are not drawn." if left_out else ""
    return x[good], y[good], losses[good], note


def _unit(predictions: Predictions) -> str:
    return f" ({label(predictions.units, 24)})" if predictions.units else ""


def against_actual(predictions: Predictions) -> Drawing | None:
    """Draw a dot per example and the line where predicted = actual; None where nothing can be drawn."""
    target, predicted, losses, note = _finite(predictions)
    if not len(target):
        return None
    n, unit = len(target), _unit(predictions)
    picked = evenly(n, POINTS_DRAWN, keep=tuple(int(i) for i in worst(losses)))
    low = min(target[picked].min(), predicted[picked].min())
    high = max(target[picked].max(), predicted[picked].max())
    spread = np.std(target) > 0 and np.std(predicted) > 0
    r = f"{np.corrcoef(target, predicted)[0, 1]:.3f}" if n > 1 and spread else "not defined"
    alt = (
        f"Predicted against actual for {count(n)} {part_name(predictions.part)} values from "
        f"{number(target.min())} to {number(target.max())}; predictions lie between "
        f"{number(predicted.min())} and {number(predicted.max())}; correlation {r}."
    )
    with style():
        figure, axes = page(460, 340, left=56, right=12, bottom=40, top=12)
        margin = 0.04 * (high - low) or 0.5 * max(1.0, abs(high))
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        axes.plot([low, high], [low, high], color=TOKENS["muted"], linewidth=1, linestyle="--")
        dots: Any = {
            "linestyle": "none",
            "marker": "o",
            "markersize": 4.5,
            "markeredgewidth": 0,
            "alpha": 0.55,
        }
        axes.plot(target[picked], predicted[picked], color=TOKENS["train"], **dots)
        axes.grid(visible=True, axis="x")
        axes.set_xlabel(f"actual{unit}")
        axes.set_ylabel(f"predicted{unit}")
        picture = svg(figure, "against-actual", alt)
        plot = packed(axes, [_dots(target[picked], predicted[picked])], unit=f"actual{unit}", kind="points")
    thinned = (
        f"{count(len(picked))} of {count(n)} dots are drawn, the worst among them." if len(picked) < n else ""
    )
    caption = " ".join(filter(None, ["On the dashed line a prediction is right.", thinned, note]))
    order = evenly(n, ROWS_SHOWN)
    by_size = np.argsort(target, kind="stable")[order]
    rows = tuple((number(target[i]), number(predicted[i]), number(predicted[i] - target[i])) for i in by_size)
    said = f"{len(order)} of {count(n)} values, evenly spaced by rank." if len(order) < n else ""
    head = ("actual", "predicted", "residual")
    table = Table(f"Predicted against actual{unit}", head, rows, said, text=frozenset())
    return Drawing("against-actual", "Predicted against actual", alt, picture, caption, table, plot)


def _dots(target: NDArray[np.float64], predicted: NDArray[np.float64]) -> Trace:
    pairs = zip(target, predicted, strict=True)
    texts = [f"actual {number(t)}, predicted {number(p)}, residual {number(p - t)}" for t, p in pairs]
    return Trace("examples", "train", target, predicted, texts=texts)


def residual_histogram(predictions: Predictions) -> Drawing | None:
    """Draw how often each residual (predicted − actual) occurs; None where nothing can be drawn."""
    target, predicted, _, note = _finite(predictions)
    if not len(target):
        return None
    residual, unit = predicted - target, _unit(predictions)
    counts, edges = _histogram(residual)
    mean, deviation, median = residual.mean(), residual.std(), np.median(residual)
    alt = (
        f"Histogram of {count(len(residual))} residuals{unit}: mean {number(mean)}, standard deviation "
        f"{number(deviation)}, median {number(median)}, "
        f"from {number(residual.min())} to {number(residual.max())}."
    )
    with style():
        figure, axes = page(460, 340, left=56, right=12, bottom=40, top=12)
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=TOKENS["train"],
                 edgecolor=TOKENS["card"], linewidth=1)  # fmt: skip
        axes.axvline(0, color=TOKENS["muted"], linewidth=1, linestyle="--")
        axes.set_xlabel(f"residual: predicted − actual{unit}")
        axes.set_ylabel("examples")
        picture = svg(figure, "residuals", alt)
        bars = [
            f"{number(a)} to {number(b)}: {count(n)}"
            for a, b, n in zip(edges, edges[1:], counts, strict=False)
        ]
        tops = Trace("examples", "train", edges[:-1] + np.diff(edges) / 2, counts.astype(float), texts=bars)
        plot = packed(axes, [tops], unit="residual", kind="points", zoom=False)
    caption = f"Mean {number(mean)}, standard deviation {number(deviation)}, median {number(median)}."
    caption = f"{caption} {note}".strip()
    rows = tuple(
        (f"{number(edges[i])} to {number(edges[i + 1])}", count(counts[i])) for i in range(len(counts))
    )
    table = Table(f"Residuals{unit}", ("residual", "examples"), rows)
    return Drawing("residuals", "Residuals", alt, picture, caption, table, plot)


def _histogram(residual: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    bins = int(np.clip(np.sqrt(len(residual)), 5, _BINS))
    low, high = float(residual.min()), float(residual.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # bins narrower than a float's spacing cannot be made
        low, high = low - 0.5 * max(1.0, abs(low)), high + 0.5 * max(1.0, abs(high))
    counts, edges = np.histogram(residual, bins=bins, range=(low, high))
    return counts, edges
