"""A curve in one line of text: eight heights, as many columns as there is room for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[float | None], width: int = 24) -> str:
    """Return values as bars from the lowest to the highest; what is missing or not finite is a gap.

    Of more values than columns, each column shows the mean of its share.

    Arguments:
        values: in order.
        width: columns at most.

    Example:
        >>> sparkline([8, 4, 2, 1, 1, None, 3])
        '█▄▂▁▁ ▃'
    """
    given = [v if v is not None and math.isfinite(v) else math.nan for v in values]
    count = min(width, len(given))
    if not count:
        return ""
    cuts = [round(i * len(given) / count) for i in range(count + 1)]
    means = [_mean(given[low:high]) for low, high in pairwise(cuts)]
    finite = [value for value in means if not math.isnan(value)]
    if not finite:
        return " " * count
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(
        " " if math.isnan(value) else _BARS[round((value - low) / span * (len(_BARS) - 1))] for value in means
    )


def _mean(values: list[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.nan
