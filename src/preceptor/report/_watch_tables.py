"""Whatever JSON values were noted of a run, as cells and tables of finished text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from preceptor.report._format import clean, count, evenly, label, number
from preceptor.report._table import Table

__all__ = ["ROWS_SHOWN", "cell", "dicts", "heading", "phase_name", "rows_of", "written"]

ROWS_SHOWN = 40
COLUMNS_SHOWN = 24


def rows_of(caption: str, rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return dicts as a table: a column for each key that says anything."""
    said: dict[str, list[Any]] = {}
    for row in rows:
        for key, value in row.items():
            said.setdefault(str(key), []).append(value)
    keys = [key for key, found in said.items() if any(v is not None and v is not False for v in found)]
    if not keys:
        return None
    notes = []
    if len(keys) > COLUMNS_SHOWN:
        notes.append(f"{COLUMNS_SHOWN} of {count(len(keys))} columns.")
    if len(rows) > ROWS_SHOWN:
        notes.append(f"{ROWS_SHOWN} of {count(len(rows))} rows, evenly spaced.")
    keys = keys[:COLUMNS_SHOWN]
    words = {i for i, key in enumerate(keys) if not all(_numeric(v) for v in said[key])}
    picked = [rows[i] for i in evenly(len(rows), ROWS_SHOWN)]
    cells = tuple(tuple(cell(row.get(key)) for key in keys) for row in picked)
    return Table(
        caption, tuple(heading(key).lower() for key in keys), cells, " ".join(notes), text=frozenset(words)
    )


def written(value: float, digits: int = 5) -> str:
    """Return a number briefly; what is not finite is named.

    Example:
        >>> written(0.000112), written(2.5), written(float("nan")), written(float("-inf"))
        ('1.12e-04', '2.5', 'NaN', '−∞')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:,.{digits}g}"


def cell(value: Any, limit: int = 120) -> str:
    """Return any JSON value as one line.

    Example:
        >>> cell({"betas": [0.9, 0.999], "fused": None})
        'betas: [0.9,\\xa00.999], fused: –'
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value) if isinstance(value, int) else written(value)
    if isinstance(value, Mapping):
        return clean(", ".join(f"{key}: {cell(inner)}" for key, inner in _few(value.items())), limit)
    if isinstance(value, (list, tuple)):
        if all(_numeric(item) for item in value):
            return clean("[" + ",\xa0".join(cell(item) for item in _few(value)) + "]", limit)
        return clean(", ".join(cell(item) for item in _few(value)), limit)
    return label(value, limit)


def heading(key: Any) -> str:
    """Return a key as the heading of a column."""
    words = label(key, 40).replace("_", " ")
    return words[:1].upper() + words[1:]


def phase_name(phase: str) -> str:
    """Return a phase in words.

    Example:
        >>> phase_name("train:1"), phase_name("evaluation:train.py:41")
        ('train (optimizer 1)', 'evaluation (train.py:41)')
    """
    kind, _, where = phase.partition(":")
    what = "" if kind == "evaluation" else "optimizer "
    return label(f"{kind} ({what}{where})" if where else kind, 80)


def dicts(value: Any) -> list[Mapping[str, Any]]:
    """Return the dicts in a list; none where there is no list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _numeric(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _few(items: Iterable[Any]) -> list[Any]:
    return list(itertools.islice(items, 60))
