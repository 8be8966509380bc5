"""Cells of text: which are missing, which are numbers, and what kind of column they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from preceptor.data._dataset import Array, Column
from preceptor.errors import DataError

__all__ = ["MISSING", "check_finite", "is_number", "make_column"]

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none"})
_NEARLY = 0.9  # with this share of numbers, the other cells are more likely mistakes than categories


def make_column(
    name: str,
    cells: Sequence[str],
    row: Callable[[int], str],
    *,
    kind: str | None = None,
    decimal_comma: bool = False,
) -> Column:
    """Make a column of cells: numbers where every cell that is not missing parses as one, else categories.

    Arguments:
        name: the column's name.
        cells: the text of each row; spaces around it do not count.
        row: says where a row stands, such as ``"line 7"``.
        kind: ``"number"`` or ``"category"`` where that is known already.
        decimal_comma: read ``1,5`` as 1.5, where no cell of the column can be read otherwise.

    Raises:
        DataError: text among numbers (at least 90 % of the cells are, or ``kind="number"``), or infinity.

    Example:
        >>> make_column("age", ["39", " 50", "?"], "row {}".format).values
        array([39., 50., nan])
    """
    whole = None if kind == "category" else _all_numbers(cells)
    if whole is not None:
        return Column(name, "number", check_finite(whole, name, row))
    texts = {cell: _text(cell) for cell in dict.fromkeys(cells)}
    present = {cell: text for cell, text in texts.items() if text is not None}
    if kind == "category":
        return _categories(name, cells, texts)
    numbers = {cell: _number(text) for cell, text in present.items()}
    if None in numbers.values() and decimal_comma:
        swapped = {cell: _number(text.replace(",", ".")) for cell, text in present.items()}
        numbers = numbers if None in swapped.values() else swapped
    if None in numbers.values():
        known = [numbers[cell] is not None for cell in cells if cell in numbers]
        if kind != "number" and sum(known) < _NEARLY * len(known):
            return _categories(name, cells, texts)
        first = next(i for i, cell in enumerate(cells) if numbers.get(cell, 0.0) is None)
        raise DataError(
            f"column {name!r} has text among its numbers",
            expected=f"a number in every row, or an empty cell ({sum(known):,} of {len(known):,} are)",
            received=f"{cells[first]!r} in {row(first)}",
            hint="correct that cell, or leave it empty if the value is unknown",
        )
    values = np.array([numbers.get(cell, np.nan) for cell in cells], dtype=np.float64)
    return Column(name, "number", check_finite(values, name, row))


def is_number(cell: str) -> bool:
    """Tell whether a cell parses as a number.

    Example:
        >>> is_number("-1.5e3"), is_number("1_000"), is_number("")
        (True, False, False)
    """
    return _number(cell) is not None


def check_finite(values: Array, name: str, row: Callable[[int], str]) -> Array:
    """Return the column's numbers; `DataError` where one is infinite (NaN means missing)."""
    infinite = np.isinf(values)
    if infinite.any():
        first = int(infinite.argmax())
        raise DataError(
            f"column {name!r} holds {int(infinite.sum()):,} infinite values",
            expected="finite numbers",
            received=f"{values[first]} in {row(first)}",
            hint="correct that cell, or leave it empty if the value is unknown",
        )
    return values


def _all_numbers(cells: Sequence[str]) -> Array | None:
    """Return the cells as numbers where every one is, the usual case; `None` where one is not."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return None if "_" in "".join(cells) else values


def _text(cell: str) -> str | None:
    text = cell.strip()
    return None if text.lower() in MISSING else text


def _number(text: str) -> float | None:
    if "_" in text:  # Python reads 1_000 as a number; in a table it is a code
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _categories(name: str, cells: Sequence[str], texts: dict[str, str | None]) -> Column:
    values = np.empty(len(cells), dtype=object)
    values[:] = [texts[cell] for cell in cells]
    return Column(name, "category", values)
