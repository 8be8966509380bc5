"""The lines of a text to be continued, as a data set that can be looked over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from preceptor.data._dataset import Dataset, fingerprint
from preceptor.data.text import Place
from preceptor.errors import DataError

__all__ = ["lines_of"]

_LONG = 1000  # characters a line, from which on sentences are taken in place of lines
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def lines_of(places: Mapping[str, Place], *, most: int, name: str, origin: str) -> Dataset:
    """Return the lines of each part of a text, of each the first ``most`` characters.

    Where lines are as long as chapters, sentences are taken in their place.

    Raises:
        DataError: there is no text.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> file = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = file.write_text("one line\\nanother\\n")
        >>> lines_of({"train": Place(file)}, most=100, name="a", origin="a.txt").text
        '2 lines of text · to be continued'
    """
    found: list[str] = []
    parts: list[str] = []
    cut = []
    for part, place in places.items():
        text, whole = _head(place.pieces(), most)
        cut += [] if whole else [part]
        lines = text.split("\n")
        lines = lines[:-1] if lines and not lines[-1] else lines
        if lines and len(text) > _LONG * len(lines):
            lines = [sentence for line in lines for sentence in _SENTENCE.split(line)]
        found += lines
        parts += [part] * len(lines)
    if not any(line.strip() for line in found):
        raise DataError("the text is empty", expected="text", received=f"{len(found)} empty lines")
    texts = np.empty(len(found), dtype=object)
    texts[:] = found
    return Dataset(
        name=name,
        kind="lines",
        inputs=texts,
        targets=texts,
        target_kind="next-symbols",
        target_name=None,
        feature_names=(),
        classes=(),
        part=np.array(parts) if len(places) > 1 else None,
        notes=tuple(f"{part}: the first {most:,} characters" for part in cut),
        origin=origin,
        fingerprint=fingerprint(texts, np.zeros(0)),
    )


def _head(pieces: Iterator[str], most: int) -> tuple[str, bool]:
    """Return the beginning of a text, and whether that is all."""
    held: list[str] = []
    length = 0
    for piece in pieces:
        held.append(piece[: most - length])
        length += len(piece)
        if length > most:
            return "".join(held), False
    return "".join(held), True
