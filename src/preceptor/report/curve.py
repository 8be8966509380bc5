"""Curves in a terminal: a function drawn with Braille dots between its axes' numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["draw_curve"]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a cell, by row and column
_BLANK = 0x2800


def draw_curve(xs: Sequence[float], ys: Sequence[float], width: int = 48, height: int = 9) -> str:
    """Return a curve as ``height`` lines of text and one for the horizontal axis.

    Neighbouring points are joined; what is not finite leaves a gap.

    Arguments:
        xs: ascending, as many as ys.
        ys: values.
        width: cells, of two dots each.
        height: lines, of four dots each.

    Example:
        >>> print(draw_curve([0, 1, 2], [0, 1, 0], width=8, height=2))
        1   ⢀⠔⠣⡀
        0 ⡠⠊⠁  ⠈⠑⢄
          0      2
    """
    finite = [y for y in ys if math.isfinite(y)]
    if not finite or len(xs) < 2:
        return ""
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    columns, rows = 2 * width, 4 * height
    cells = [[0] * width for _ in range(height)]
    left, right = xs[0], xs[-1]
    at = [
        ((x - left) / (right - left) * (columns - 1), (high - y) / span * (rows - 1))
        for x, y in zip(xs, ys, strict=True)
    ]
    for (x0, y0), (x1, y1) in pairwise(at):
        if not (math.isfinite(y0) and math.isfinite(y1)):
            continue
        steps = max(1, math.ceil(max(abs(x1 - x0), abs(y1 - y0))))
        for k in range(steps + 1):
            column = round(x0 + (x1 - x0) * k / steps)
            row = round(y0 + (y1 - y0) * k / steps)
            cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    labels = [""] * height
    labels[0], labels[-1] = f"{high:.3g}", f"{low:.3g}"
    wide = max(map(len, labels))
    drawn = [
        f"{label:>{wide}} " + "".join(chr(_BLANK + cell) if cell else " " for cell in line).rstrip()
        for label, line in zip(labels, cells, strict=True)
    ]
    start, end = f"{left:g}", f"{right:g}"
    return "\n".join(
        [*(line.rstrip() for line in drawn), " " * (wide + 1) + start + end.rjust(width - len(start))]
    )
