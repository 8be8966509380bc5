"""A table of finished text, as templates and figures hand it on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """A table whose cells are text already; the first cell of each row names the row.

    Attributes:
        caption: what it shows, for those who hear it.
        head: one name per column.
        rows: one tuple of texts per row, each as long as ``head``.
        note: what was left out, or an empty string.
        text: which columns hold words, and so are set flush left; all others are numbers.
        bars: a fraction 0…1 per row, drawn behind the numbers of the last column; empty for none.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text: frozenset[int] = frozenset({0})
    bars: tuple[float, ...] = ()
