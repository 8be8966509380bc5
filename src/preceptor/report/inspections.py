"""Inspections of the catalogue as figures of a report."""

from __future__ import annotations

from preceptor.catalogue.inspections import Inspection
from preceptor.errors import DataError
from preceptor.report._canvas import TOKENS, Drawing, style, svg
from preceptor.report._format import number
from preceptor.report._table import Table

__all__ = ["drawing"]

_COLOURS = tuple(TOKENS[name] for name in ("train", "val", "rate", "hit", "miss", "mark"))
_ROWS = 60


def drawing(inspection: Inspection, key: str = "inspection") -> Drawing:
    """Draw an inspection in the report's style, with a text alternative and its numbers as a table.

    Raises:
        DataError: the inspection has numbers alone and nothing to draw.

    Example:
        >>> from preceptor.catalogue import get
        >>> seen = get("learning-curve", {"train_loss": [1.0, 0.5, 0.3, 0.2]})
        >>> drawing(seen).title
        'Learning curve'
    """
    if not inspection.pictures:
        raise DataError(
            f"{inspection.title} has no picture", expected="something to draw", received="numbers alone"
        )
    alt = f"{inspection.title}: {inspection.finding}."
    with style():
        picture = svg(inspection.figure(_COLOURS), key, alt)
    return Drawing(key, inspection.title, alt, picture, inspection.finding, _table(inspection))


def _table(inspection: Inspection) -> Table:
    rows: list[tuple[str, str]] = []
    for name, value in inspection.data.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, found in parts:
            label = f"{name}: {part}" if part else name
            if isinstance(found, bool | str):
                rows.append((label, str(found)))
            elif isinstance(found, int | float):
                rows.append((label, number(float(found))))
    note = f"The first {_ROWS} of {len(rows)} numbers." if len(rows) > _ROWS else ""
    return Table(inspection.finding, ("what", "value"), tuple(rows[:_ROWS]), note)
