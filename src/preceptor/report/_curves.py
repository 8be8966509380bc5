"""Learning curves: loss, measures and learning rate over the epochs."""

from __future__ import annotations

import math

import numpy as np

from preceptor.report._canvas import Drawing
from preceptor.report._format import as_float, count, title
from preceptor.report._lines import DRAWABLE, Line, draw_lines, is_wide
from preceptor.report.summary import Summary

__all__ = ["curves", "metrics"]

FIGURES_SHOWN = 8


def metrics(summary: Summary) -> list[str]:
    """Return the names of the measures in a history, in their order of appearance, without loss."""
    names: dict[str, None] = {}
    for row in summary.history:
        for key in row:
            part, _, name = key.partition("_")
            if part in ("train", "val") and name and name not in ("loss", "loss_running"):
                names[name] = None
    return list(names)


def curves(summary: Summary) -> list[Drawing]:
    """Draw loss, each measure and the learning rate; nothing where the history holds no number."""
    if not summary.history:
        return []
    rows = [{key: as_float(value) for key, value in row.items()} for row in summary.history]
    epochs = np.array([row.get("epoch", math.nan) for row in rows])
    epochs = np.where(np.isnan(epochs), np.arange(1, len(rows) + 1), epochs)

    def lines(*wanted: tuple[str, str, str, float, str]) -> list[Line]:
        found = []
        for key, name, colour, width, dashes in wanted:
            values = np.array([row.get(key, math.nan) for row in rows])
            values[np.abs(values) > DRAWABLE] = math.nan
            if not np.isnan(values).all():
                found.append(Line(key, name, colour, width, dashes, epochs, values))
        return found

    plans = [
        ("loss", "Loss", lines(
            ("train_loss_running", "running", "train", 0.8, "-"),
            ("train_loss", "train", "train", 1.8, "-"),
            ("val_loss", "validation", "val", 1.8, "--"),
        )),
        *(
            (f"metric-{i}", title(name), lines(
                (f"train_{name}", "train", "train", 1.8, "-"), (f"val_{name}", "validation", "val", 1.8, "--")
            ))
            for i, name in enumerate(metrics(summary)[:FIGURES_SHOWN])
        ),
        ("rate", "Learning rate", lines(("lr", "learning rate", "rate", 1.8, "-"))),
    ]  # fmt: skip
    best = None if summary.best_epoch is None else (summary.best_epoch, "best")
    return [
        draw_lines(key, heading, found, unit="epoch", caption=_caption(found), mark=best)
        for key, heading, found in plans
        if found
    ]


def _caption(lines: list[Line]) -> str:
    names = {line.key for line in lines}
    parts = []
    if "train_loss_running" in names:
        parts.append("Thin: the running mean of the training batches.")
    if is_wide(lines):
        parts.append("Logarithmic scale.")
    gaps = max(int(np.isnan(line.values).sum()) for line in lines)
    if gaps:
        parts.append(
            f"A gap marks an epoch without a finite value ({count(gaps)} of {count(len(lines[0].values))})."
        )
    if not any(key.startswith("val_") for key in names) and "lr" not in names:
        parts.append("Nothing was measured on a validation part.")
    return " ".join(parts)
