"""What a figure was drawn from, for the page's script: values under the pointer, and a part enlarged."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from preceptor.report._format import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Trace", "packed"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """One line, or one set of points, as the script reads it.

    Attributes:
        name: what its values are called.
        colour: one of the canvas's tokens.
        x, y: where it runs; NaN is a gap.
        width: of the line, in CSS pixels; 0 draws points only.
        dashed: whether it is.
        low, high: the band around it.
        texts: what is said of each point, in place of its coordinates.
    """

    name: str
    colour: str
    x: Floats
    y: Floats
    width: float = 0.0
    dashed: bool = False
    low: Floats | None = None
    high: Floats | None = None
    texts: Sequence[str] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it, with short keys."""
        plain: dict[str, Any] = {"n": self.name, "c": self.colour, "w": self.width, "d": int(self.dashed)}
        plain |= {"x": _numbers(self.x), "y": _numbers(self.y)}
        if self.low is not None and self.high is not None:
            plain |= {"l": _numbers(self.low), "h": _numbers(self.high)}
        return plain | ({"t": list(self.texts)} if self.texts else {})


def packed(
    axes: Axes,
    traces: Sequence[Trace],
    *,
    unit: str,
    kind: str = "lines",
    zoom: bool = True,
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Return the value of an attribute in single quotes: JSON of the axes and of all that lies on them.

    Arguments:
        axes: what was drawn on, its limits final.
        traces: what was drawn.
        unit: what x counts.
        kind: "lines" (read at one x), "points" (the nearest one is read), or "rows" (a trace is read whole).
        zoom: whether a part of x may be enlarged.
        mark: a place on x that is pointed at, and a word for it.
    """
    width, height = (72 * inches for inches in axes.figure.get_size_inches())  # type: ignore[union-attr]  # axes that were drawn have a figure
    box = axes.get_position()
    edges = (box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height)
    plain = {
        "kind": kind,
        "box": [round(float(edge), 1) for edge in edges],
        "x": _numbers(axes.get_xlim()),
        "y": _numbers(axes.get_ylim()),
        "log": [int(axes.get_xscale() == "log"), int(axes.get_yscale() == "log")],
        "unit": unit,
        "zoom": int(zoom),
        "mark": list(mark) if mark else None,
        "lines": [trace.to_plain() for trace in traces],
    }
    text = clean(json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&#39;")
    return Markup(escaped)  # noqa: S704  (escaped on the line above)


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_short(float(value)) for value in values]


def _short(value: float) -> float | None:
    """Keep five digits: finer than a screen; a gap is null."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.5g}")
