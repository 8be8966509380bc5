"""Names beside points, each where no other stands yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["name_points"]

_SIZE = 6.0  # points, of the letters
_WIDE = 0.56  # of a letter beside its height, on average
_FAR = 10.0  # from there on a line leads to the name


def name_points(axes: Axes, names: Sequence[str], x: Any, y: Any) -> None:
    """Write names beside the points of axes whose scales are set: the nearest place that is free.

    Arguments:
        axes: with the points drawn.
        names: one a point.
        x: where the points are.
        y: how high they are.
    """
    axes.autoscale_view()
    figure: Any = axes.figure
    places = axes.transData.transform(np.column_stack([x, y])) * 72 / figure.dpi
    taken: list[tuple[float, float, float, float]] = [(a - 2, b - 2, a + 2, b + 2) for a, b in places]
    for i in sorted(range(len(names)), key=lambda i: -places[i][1]):
        width = _SIZE * _WIDE * len(names[i])
        for dx, dy in _offsets(width):
            left, low = places[i][0] + dx, places[i][1] + dy - _SIZE / 2
            box = (left, low, left + width, low + _SIZE)
            if not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            names[i], (x[i], y[i]), (dx, dy), textcoords="offset points", fontsize=_SIZE, va="center",
            arrowprops=line if abs(dy) >= _FAR or not -width - _FAR <= dx <= _FAR else None,
        )  # fmt: skip


def _offsets(width: float) -> Iterator[tuple[float, float]]:
    """Return where a name may begin, the nearest first: right or left of the point, ever higher or lower."""
    steps = [sign * k * (_SIZE + 1) for k in range(12) for sign in ((1, -1) if k else (1,))]
    sides = [4.0, -width - 4.0, 24.0, -width - 24.0]

    def distance(place: tuple[float, float]) -> float:
        side, up = place
        return abs(up) + (side if side > 0 else 2 - side - width)

    yield from sorted(product(sides, steps), key=distance)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
