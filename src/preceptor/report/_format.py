"""Values as text, and long series made short: what figures and tables share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.errors import printable

__all__ = [
    "as_float",
    "clean",
    "count",
    "duration",
    "envelope",
    "evenly",
    "fixed",
    "label",
    "number",
    "part_name",
    "percent",
    "short",
    "tick",
    "title",
]

MISSING = "–"
_TITLES = {
    "r2": "R²",
    "rmse": "RMSE",
    "mse": "MSE",
    "mae": "MAE",
    "f1": "F1",
    "auc": "AUC",
    "macro_f1": "Macro F1",
    "top5_accuracy": "Top-5 accuracy",
}


def as_float(value: Any) -> float:
    """Return a number as it is; whatever is none (None, text, infinities) becomes NaN.

    Example:
        >>> as_float("0.5"), as_float(None)
        (0.5, nan)
    """
    try:
        given = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return given if math.isfinite(given) else math.nan


def number(value: Any, digits: int = 4) -> str:
    """Write a number with ``digits`` significant digits, a dash where there is none.

    Example:
        >>> number(0.0123456), number(3e-05), number(1797), number(None)
        ('0.01235', '3.000e-05', '1,797', '–')
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{int(value):,}" if abs(int(value)) < 10**15 else f"{float(value):.3e}"
    given = as_float(value)
    if math.isnan(given):
        return MISSING
    if given != 0 and not 1e-4 <= abs(given) < 1e6:
        return f"{given:.{digits - 1}e}"
    if given == 0:
        return "0"
    before = math.floor(math.log10(abs(given))) + 1
    return f"{given:,.{max(0, digits - before)}f}" if before > 0 else f"{given:#.{digits}g}"


def count(value: int) -> str:
    """Write a whole number with thousands separated."""
    return f"{int(value):,}"


def fixed(value: Any, places: int = 3) -> str:
    """Write a score with a fixed number of decimals, so that columns can be compared at a glance.

    Example:
        >>> fixed(0.97), fixed(float("nan"))
        ('0.970', '–')
    """
    given = as_float(value)
    if math.isnan(given):
        return MISSING
    return f"{given:.{places}f}" if abs(given) < 1000 else number(given)


def tick(value: float) -> str:
    """Write a number as briefly as an axis needs it.

    Example:
        >>> tick(0.00105), tick(0.5), tick(0.0)
        ('1.05e-3', '0.5', '0')
    """
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(fraction: Any) -> str:
    """Write a fraction as a percentage.

    Example:
        >>> percent(0.0834)
        '8.3 %'
    """
    given = as_float(fraction)
    return MISSING if math.isnan(given) else f"{100 * given:.1f} %"


def duration(seconds: Any) -> str:
    """Write seconds as a person says them.

    Example:
        >>> duration(0.94), duration(134), duration(3780)
        ('0.94 s', '2 min 14 s', '1 h 3 min')
    """
    given = as_float(seconds)
    if math.isnan(given):
        return MISSING
    if given < 59.95:
        return f"{given:.2f} s" if given < 10 else f"{given:.1f} s"
    minutes, rest = divmod(round(given), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def clean(text: Any, limit: int | None = None) -> str:
    """Make text printable in any document: control characters out, shortened to ``limit`` with an ellipsis.

    Example:
        >>> clean("a\\x00b"), clean("a very long name", limit=8)
        ('a�b', 'a very …')
    """
    whole = str(text)
    if limit is not None and len(whole) > limit:
        whole = whole[: limit - 1] + "…"
    return printable(whole)


def label(text: Any, limit: int = 14) -> str:
    """Return text that the user chose, such as a class name, on one line of at most ``limit`` characters."""
    return " ".join(clean(text, limit).split("\n"))


def short(text: Any, limit: int = 12) -> str:
    """Shorten a name in its middle, so that names that begin alike can still be told apart.

    Example:
        >>> short("class number 17"), short("cat")
        ('class …er 17', 'cat')
    """
    whole = label(text, 200)
    tail = limit // 2 - 1
    return whole if len(whole) <= limit else f"{whole[: limit - tail - 1]}…{whole[-tail:]}"


def part_name(part: str) -> str:
    """Return a part of the data as a word.

    Example:
        >>> part_name("val"), part_name("test")
        ('validation', 'test')
    """
    return {"train": "training", "val": "validation"}.get(part, label(part, 40))


def title(metric: str) -> str:
    """Return a measure's name as a heading.

    Example:
        >>> title("macro_f1"), title("my_score")
        ('Macro F1', 'My score')
    """
    words = metric.replace("_", " ")
    return _TITLES.get(metric, label(words[:1].upper() + words[1:], 60))


def evenly(n: int, limit: int, keep: tuple[int, ...] = ()) -> list[int]:
    """Return at most ``limit`` of the indices 0…n−1, evenly spaced, and those to ``keep``.

    Example:
        >>> evenly(1000, 3, keep=(7,))
        [0, 7, 500, 999]
    """
    if n <= limit:
        return list(range(n))
    spaced = np.linspace(0, n - 1, limit).round().astype(int).tolist()
    return sorted({*spaced, *(k for k in keep if 0 <= k < n)})


def envelope(values: NDArray[np.float64], buckets: int = 140) -> NDArray[np.intp]:
    """Return the indices that keep a long curve's look: in each bucket its lowest, highest and first missing.

    Example:
        >>> envelope(np.arange(10.0)).tolist() == list(range(10)), len(envelope(np.arange(1e4)))
        (True, 280)
    """
    n = len(values)
    if n <= 2 * buckets:
        return np.arange(n)
    kept: list[int] = [0, n - 1]
    for bucket in np.array_split(np.arange(n), buckets):
        part = values[bucket]
        gaps = np.isnan(part)
        if gaps.any():
            kept.append(int(bucket[gaps.argmax()]))
        if not gaps.all():
            kept += [int(bucket[np.nanargmin(part)]), int(bucket[np.nanargmax(part)])]
    return np.unique(kept)
