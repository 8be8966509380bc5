"""Learning curves: loss, measures and learning rate over the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import as_float, count, envelope, evenly, label, number, tick, title
from preceptor.report._table import Table
from preceptor.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves", "metrics"]

FIGURES_SHOWN = 8
ROWS_SHOWN = 60
_WIDTH, _HEIGHT = 460.0, 250.0
_LOG_RATIO, _LOG_BULK = (
    30.0,
    8.0,
)  # how far values must spread, and their bulk lie low, for a logarithmic axis
_DRAWABLE = 1e50  # beyond it axis limits overflow; such a value is shown as a gap


@dataclass(frozen=True)
class _Line:
    key: str
    name: str
    colour: str
    width: float
    dashes: str
    values: NDArray[np.float64]


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

    def lines(*wanted: tuple[str, str, str, float, str]) -> list[_Line]:
        found = []
        for key, name, colour, width, dashes in wanted:
            values = np.array([row.get(key, math.nan) for row in rows])
            values[np.abs(values) > _DRAWABLE] = math.nan
            if not np.isnan(values).all():
                found.append(_Line(key, name, colour, width, dashes, values))
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
    return [_draw(key, heading, found, epochs, summary.best_epoch) for key, heading, found in plans if found]


def _draw(
    key: str, heading: str, lines: list[_Line], epochs: NDArray[np.float64], best: int | None
) -> Drawing:
    log = _is_wide(line.values for line in lines)
    alt = f"{heading} by epoch: " + "; ".join(_course(line, epochs) for line in lines) + "."
    with style():
        figure, axes = page(_WIDTH, _HEIGHT, left=60, right=76, bottom=32, top=18)
        for line in lines:
            _plot(axes, line, epochs)
        _axes(axes, log, epochs)
        if best is not None and epochs.min() <= best <= epochs.max():
            _mark_best(axes, best, epochs)
        if len(lines) > 1:
            _name_ends(axes, lines)
        picture = svg(figure, key, alt)
    return Drawing(key, heading, alt, picture, _caption(lines, log), _table(heading, lines, epochs, best))


def _plot(axes: Axes, line: _Line, epochs: NDArray[np.float64]) -> None:
    kept = envelope(line.values)
    x, y = epochs[kept], line.values[kept]
    # A value between two gaps has no line to lie on, so it gets a dot.
    gap = np.isnan(np.concatenate([[math.nan], y, [math.nan]]))
    alone = ~gap[1:-1] & gap[:-2] & gap[2:]
    colour = TOKENS[line.colour]
    dashes = line.dashes if len(kept) == len(epochs) else "-"  # dashes along a jagged outline look like gaps
    axes.plot(x, y, color=colour, linewidth=line.width, linestyle=dashes)
    if alone.any():
        axes.plot(x[alone], y[alone], color=colour, linestyle="none", marker="o", markersize=4)


def _axes(axes: Axes, log: bool, epochs: NDArray[np.float64]) -> None:
    from matplotlib import ticker

    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        subs = (1.0,) if high > 1e3 * low else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value)))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    else:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
        small = max(map(abs, axes.get_ylim())) < 0.01
        plain = ticker.ScalarFormatter(useOffset=False)
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value)) if small else plain)
    if epochs.min() == epochs.max():
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    else:
        axes.set_xlim(epochs.min(), epochs.max())
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.text(1.075, -0.03, "epoch", transform=axes.transAxes, va="top", color=TOKENS["muted"])


def _mark_best(axes: Axes, best: int, epochs: NDArray[np.float64]) -> None:
    axes.axvline(best, color=TOKENS["muted"], linewidth=0.8, linestyle=":")
    along = (best - epochs.min()) / max(1.0, epochs.max() - epochs.min())
    side = "left" if along < 0.1 else "right" if along > 0.9 else "center"
    axes.text(
        best, 1.02, f"best {best:,}", transform=axes.get_xaxis_transform(), ha=side, color=TOKENS["muted"]
    )


def _name_ends(axes: Axes, lines: list[_Line]) -> None:
    """Write each line's name beside its end, moved apart where ends meet."""
    height, gap = _HEIGHT - 50, 14.0
    ends = []
    for line in lines:
        last = line.values[~np.isnan(line.values)][-1]
        ends.append(
            (float(axes.transAxes.inverted().transform(axes.transData.transform((0, last)))[1]), line)
        )
    ends.sort(key=lambda end: end[0])
    floor = -math.inf
    spots = []
    for place, line in ends:
        floor = max(place * height, floor + gap)
        spots.append((floor, line))
    excess = max(0.0, spots[-1][0] - height)
    for spot, line in spots:
        colour = TOKENS[line.colour]
        axes.text(
            1.02, (spot - excess) / height, line.name, transform=axes.transAxes, va="center", color=colour
        )


def _is_wide(columns: Iterable[NDArray[np.float64]]) -> bool:
    values = np.concatenate([column[~np.isnan(column)] for column in columns])
    top = values.max()
    return bool(values.min() > 0 and top > _LOG_RATIO * values.min() and top > _LOG_BULK * np.median(values))


def _course(line: _Line, epochs: NDArray[np.float64]) -> str:
    there = np.flatnonzero(~np.isnan(line.values))
    first, last = line.values[there[0]], line.values[there[-1]]
    if len(there) == 1:
        return f"{line.name} is {number(first)} at epoch {epochs[there[0]]:,.0f}"
    low, high = (there[pick(line.values[there])] for pick in (np.argmin, np.argmax))
    return (
        f"{line.name} goes from {number(first)} to {number(last)}, "
        f"lowest {number(line.values[low])} at epoch {epochs[low]:,.0f}, "
        f"highest {number(line.values[high])} at epoch {epochs[high]:,.0f}"
    )


def _caption(lines: list[_Line], log: bool) -> str:
    names = {line.key for line in lines}
    parts = []
    if "train_loss_running" in names:
        parts.append("Thin: the running mean of the training batches.")
    if log:
        parts.append("Logarithmic scale.")
    gaps = max(int(np.isnan(line.values).sum()) for line in lines)
    if gaps:
        parts.append(
            f"A gap marks an epoch without a finite value ({count(gaps)} of {count(len(lines[0].values))})."
        )
    if not any(key.startswith("val_") for key in names) and "lr" not in names:
        parts.append("Nothing was measured on a validation part.")
    return " ".join(parts)


def _table(heading: str, lines: list[_Line], epochs: NDArray[np.float64], best: int | None) -> Table:
    n = len(epochs)
    marked = tuple(int(k) for k in np.flatnonzero(epochs == best)[-1:]) if best is not None else ()
    picked = evenly(n, ROWS_SHOWN, keep=marked)
    rows = tuple(
        (
            f"{epochs[i]:,.0f}" + (" (best)" if epochs[i] == best else ""),
            *(number(s.values[i]) for s in lines),
        )
        for i in picked
    )
    note = (
        "" if len(picked) == n else f"{len(picked)} of {count(n)} epochs, evenly spaced, the best among them."
    )
    return Table(f"{heading} by epoch", ("epoch", *(label(line.key, 40) for line in lines)), rows, note)
