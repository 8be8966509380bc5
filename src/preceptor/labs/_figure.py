"""The figure of a lab: lines, points or bars as plain numbers, and the picture that is drawn from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Figure"]

_COLOURS = ("#1f6feb", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d", "#0e7490", "#52525b")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INK = "#767676"  # readable on white and on black


@dataclass(frozen=True)
class Figure:
    """What a lab shows.

    Arguments:
        title: what is to be seen.
        x, y: what the axes count, with units.
        series: by name, the values at each place; a list of lists holds a row a seed, of which the mean is
            drawn, with the smallest and largest as a band.
        at: the places on x; names for bars.
        kind: ``"lines"``, ``"points"`` or ``"bars"``.
        log: the axes with logarithmic scale, ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        levels: values that are expected, by name, drawn as horizontal lines.

    Example:
        >>> figure = Figure("Loss by rate", "rate", "loss", {"sgd": [1.0, 0.1]}, [0.01, 0.1], log="xy")
        >>> figure.text()
        'Loss by rate. sgd: 1 at 0.01, 0.1 at 0.1.'
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Any]]
    at: Sequence[Any]
    kind: Literal["lines", "points", "bars"] = "lines"
    log: Literal["", "x", "y", "xy"] = ""
    levels: Mapping[str, float] | None = None

    def text(self) -> str:
        """Return what is to be seen as words, of each series at most six places."""
        parts = []
        for name, values in self.series.items():
            mean = _rows(values).mean(0)
            places = np.unique(np.linspace(0, len(self.at) - 1, min(6, len(self.at))).astype(int))
            parts.append(f"{name}: " + ", ".join(f"{mean[i]:.3g} at {_said(self.at[i])}" for i in places))
        return f"{self.title}. {'; '.join(parts)}."

    def save(self, path: Path) -> None:
        """Draw into a file, .svg, .png or .pdf."""
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas

        style: dict[Any, Any] = {
            "svg.hashsalt": path.stem,
            "svg.fonttype": "none",
            "font.size": 10,
            "text.parse_math": False,
        }
        with mpl.rc_context(style):
            canvas = Canvas(figsize=(6.4, 3.6), layout="constrained")
            axes = canvas.add_subplot()
            self._draw(axes)
            how = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 120}
            path.parent.mkdir(parents=True, exist_ok=True)
            canvas.savefig(path, transparent=True, **how)

    def _draw(self, axes: Axes) -> None:
        for i, (name, values) in enumerate(self.series.items()):
            (self._bars if self.kind == "bars" else self._line)(axes, i, name, _rows(values))
        for name, value in (self.levels or {}).items():
            axes.axhline(value, color=_INK, linewidth=0.8, linestyle=":")
            axes.annotate(name, (1.0, value), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                          color=_INK, fontsize=8)  # fmt: skip
        axes.set(title=self.title, xlabel=self.x, ylabel=self.y)
        if "x" in self.log and self.kind != "bars":
            axes.set_xscale("log")
        if "y" in self.log:
            axes.set_yscale("log")
        _plain(axes)
        if len(self.series) > 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=_INK)

    def _line(self, axes: Axes, i: int, name: str, rows: Any) -> None:
        colour, mean = _COLOURS[i % len(_COLOURS)], rows.mean(0)
        style: dict[str, Any] = {"color": colour, "linewidth": 1.5, "markersize": 4, "label": name}
        style["marker"] = _MARKS[i % len(_MARKS)] if len(self.at) <= 30 else None
        axes.plot(self.at, mean, linestyle="none" if self.kind == "points" else "-", **style)
        if len(rows) > 1:
            axes.fill_between(self.at, rows.min(0), rows.max(0), color=colour, alpha=0.2, linewidth=0)

    def _bars(self, axes: Axes, i: int, name: str, rows: Any) -> None:
        width = 0.8 / len(self.series)
        places = np.arange(len(self.at)) + (i - (len(self.series) - 1) / 2) * width
        mean = rows.mean(0)
        spread = [mean - rows.min(0), rows.max(0) - mean] if len(rows) > 1 else None
        axes.bar(places, mean, width, yerr=spread, color=_COLOURS[i % len(_COLOURS)], label=name, ecolor=_INK)
        axes.set_xticks(np.arange(len(self.at)), [_said(place) for place in self.at])


def _rows(values: Sequence[Any]) -> Any:
    return np.atleast_2d(np.asarray(values, dtype=float))


def _said(place: Any) -> str:
    if isinstance(place, str) or not math.isfinite(float(place)):
        return str(place)
    return f"{float(place):.3g}"


def _plain(axes: Axes) -> None:
    axes.title.set_color(_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    axes.tick_params(colors=_INK, which="both")
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.grid(color=_INK, alpha=0.2)
