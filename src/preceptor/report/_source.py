"""The lines of a user's program around a place that a finding names."""

from __future__ import annotations

import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preceptor.report._format import clean

__all__ = ["Excerpt", "excerpt"]

_AROUND = 3
_WIDTH = 160


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file: (number, text, whether it is the one that is meant) each."""

    file: str
    lines: tuple[tuple[int, str, bool], ...]


def excerpt(where: str, find: Callable[[str], Path | None]) -> Excerpt | None:
    """Return the lines around ``where``; None where the file cannot be found or read, or has no such line.

    Arguments:
        where: as "train.py:41".
        find: gives the path of a file of the user's by its name; None where there is none.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "train.py"
        >>> _ = file.write_text("a = 1\\nb = 2\\n")
        >>> excerpt("train.py:2", lambda name: file).lines
        ((1, 'a = 1', False), (2, 'b = 2', True))
    """
    name, _, number = where.rpartition(":")
    path = find(name) if name and number.isdecimal() else None
    if path is None:
        return None
    try:
        with tokenize.open(path) as opened:  # by the encoding that the file declares
            lines = opened.read().splitlines()
    except (OSError, SyntaxError, UnicodeError):
        return None
    meant = int(number)
    if not 1 <= meant <= len(lines):
        return None
    first, last = max(1, meant - _AROUND), min(len(lines), meant + _AROUND)
    shown = tuple((k, clean(lines[k - 1].expandtabs(4), _WIDTH), k == meant) for k in range(first, last + 1))
    return Excerpt(name, shown)
