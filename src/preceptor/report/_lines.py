"""Lines over epochs or steps: what every curve of a page is drawn with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preceptor.report._canvas import TOKENS, Drawing, page, style, svg
from preceptor.report._format import count, envelope, evenly, label, number, tick
from preceptor.report._plot import Trace, packed
from preceptor.report._table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DRAWABLE", "Line", "draw_lines", "is_wide"]

DRAWABLE = 1e50  # beyond it axis limits overflow; such a value is shown as a gap
ROWS_SHOWN = 60
_READ = 250  # buckets of a long line that the pointer can read: finer than it is drawn, for a part enlarged
_WIDTH, _HEIGHT = 460.0, 250.0
_LOG_RATIO, _LOG_BULK = 30.0, 8.0  # how far values spread, their bulk low, for a logarithmic axis


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a figure.

    Attributes:
        key: the name of its column in the table of numbers.
        name: what stands beside its end.
        colour: one of the canvas's tokens.
        width, dashes: how it is drawn; ``dashes=""`` draws its points only.
        x, values: where it runs; NaN is a gap.
        low, high: the band that the values stand for, where each is the mean of several.
    """

    key: str
    name: str
    colour: str
    width: float
    dashes: str
    x: NDArray[np.float64]
    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def draw_lines(
    key: str,
    heading: str,
    lines: Sequence[Line],
    *,
    unit: str,
    caption: str,
    mark: tuple[int, str] | None = None,
) -> Drawing:
    """Draw lines over one axis, logarithmic where their values call for it.

    Arguments:
        key: unique within the page.
        heading: a few words.
        lines: at least one, each with at least one number.
        unit: what x counts, such as ``"epoch"``.
        caption: a line or two under the figure.
        mark: a place on x to point at, and a word for it.
    """
    xs = np.unique(np.concatenate([line.x for line in lines]))
    if mark is not None and not xs[0] <= mark[0] <= xs[-1]:
        mark = None
    alt = f"{heading} by {unit}: " + "; ".join(_course(line, unit) for line in lines) + "."
    with style():
        figure, axes = page(_WIDTH, _HEIGHT, left=60, right=76, bottom=32, top=18)
        for line in lines:
            _plot(axes, line)
        _axes(axes, is_wide(lines), xs, unit)
        if mark is not None:
            _mark(axes, mark, xs)
        if len(lines) > 1:
            _name_ends(axes, lines)
        picture = svg(figure, key, alt)
        plot = packed(axes, [_trace(line) for line in lines], unit=unit, zoom=len(xs) > 2, mark=mark)
    return Drawing(key, heading, alt, picture, caption, _table(heading, lines, xs, unit, mark), plot)


def _trace(line: Line) -> Trace:
    kept = envelope(line.values, _READ)
    band = () if line.low is None or line.high is None else (line.low[kept], line.high[kept])
    return Trace(
        line.name,
        line.colour,
        line.x[kept],
        line.values[kept],
        line.width if line.dashes else 0.0,
        line.dashes == "--",
        *band,
    )


def is_wide(lines: Sequence[Line]) -> bool:
    """Return whether the values are drawn on a logarithmic axis."""
    values = np.concatenate([line.values[~np.isnan(line.values)] for line in lines])
    top = values.max()
    return bool(values.min() > 0 and top > _LOG_RATIO * values.min() and top > _LOG_BULK * np.median(values))


def _plot(axes: Axes, line: Line) -> None:
    colour = TOKENS[line.colour]
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.22, linewidth=0)
    if not line.dashes:
        axes.plot(line.x, line.values, color=colour, linestyle="none", marker="o", markersize=4)
        return
    kept = envelope(line.values)
    x, y = line.x[kept], line.values[kept]
    # A value between two gaps has no line to lie on, so it gets a dot.
    gap = np.isnan(np.concatenate([[math.nan], y, [math.nan]]))
    alone = ~gap[1:-1] & gap[:-2] & gap[2:]
    dashes = line.dashes if len(kept) == len(line.x) else "-"  # dashes along a jagged outline look like gaps
    axes.plot(x, y, color=colour, linewidth=line.width, linestyle=dashes)
    if alone.any():
        axes.plot(x[alone], y[alone], color=colour, linestyle="none", marker="o", markersize=4)


def _axes(axes: Axes, log: bool, xs: NDArray[np.float64], unit: str) -> None:
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
    if xs[0] == xs[-1]:
        axes.set_xlim(xs[0] - 0.5, xs[0] + 0.5)
        axes.xaxis.set_major_locator(ticker.FixedLocator([xs[0]]))
    else:
        axes.set_xlim(xs[0], xs[-1])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.text(1.075, -0.03, unit, transform=axes.transAxes, va="top", color=TOKENS["muted"])


def _mark(axes: Axes, mark: tuple[int, str], xs: NDArray[np.float64]) -> None:
    place, word = mark
    axes.axvline(place, color=TOKENS["muted"], linewidth=0.8, linestyle=":")
    along = (place - xs[0]) / max(1.0, xs[-1] - xs[0])
    side = "left" if along < 0.1 else "right" if along > 0.9 else "center"
    shown = f"{word} {place:,}"
    axes.text(place, 1.02, shown, transform=axes.get_xaxis_transform(), ha=side, color=TOKENS["muted"])


def _name_ends(axes: Axes, lines: Sequence[Line]) -> None:
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


def _course(line: Line, unit: str) -> str:
    there = np.flatnonzero(~np.isnan(line.values))
    first, last = line.values[there[0]], line.values[there[-1]]
    if len(there) == 1:
        return f"{line.name} is {number(first)} at {unit} {line.x[there[0]]:,.0f}"
    low, high = (there[pick(line.values[there])] for pick in (np.argmin, np.argmax))
    return (
        f"{line.name} goes from {number(first)} to {number(last)}, "
        f"lowest {number(line.values[low])} at {unit} {line.x[low]:,.0f}, "
        f"highest {number(line.values[high])} at {unit} {line.x[high]:,.0f}"
    )


def _table(
    heading: str, lines: Sequence[Line], xs: NDArray[np.float64], unit: str, mark: tuple[int, str] | None
) -> Table:
    n = len(xs)
    place, word = mark or (math.nan, "")
    marked = tuple(int(k) for k in np.flatnonzero(xs == place)[-1:])
    columns = [dict(zip(line.x.tolist(), line.values.tolist(), strict=True)) for line in lines]
    picked = evenly(n, ROWS_SHOWN, keep=marked)
    rows = tuple(
        (
            f"{xs[i]:,.0f}" + (f" ({word})" if xs[i] == place else ""),
            *(number(column.get(float(xs[i]))) for column in columns),
        )
        for i in picked
    )
    note = (
        ""
        if len(picked) == n
        else f"{len(picked)} of {count(n)} {unit}s, evenly spaced"
        + (f", the {word} among them." if word else ".")
    )
    return Table(f"{heading} by {unit}", (unit, *(label(line.key, 40) for line in lines)), rows, note)
