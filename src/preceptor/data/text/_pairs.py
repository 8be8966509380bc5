"""Parallel text: lines of two languages that belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from preceptor.data.text._corpus import read_lines
from preceptor.data.text._ragged import Ragged
from preceptor.data.text._vocabulary import TextCoder
from preceptor.errors import DataError

__all__ = ["ParallelText", "read_pairs"]


def read_pairs(path: Path | str, target: Path | str | None = None) -> Iterator[tuple[str, str]]:
    """Yield pairs of lines: of one file with a tab between the two, or of two files line by line.

    Raises:
        DataError: a line without a tab or with several, or files of different length.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "pairs.tsv"
        >>> _ = file.write_text("a dog\\tein Hund\\n")
        >>> list(read_pairs(file))
        [('a dog', 'ein Hund')]
    """
    if target is None:
        for number, line in enumerate(read_lines(path), 1):
            parts = line.split("\t")
            if len(parts) != 2:
                raise DataError(
                    f"{str(path)!r}: line {number} is no pair",
                    expected="two texts with a tab between them",
                    received=f"{len(parts)} texts: {line[:60]!r}",
                )
            yield parts[0], parts[1]
        return
    for number, (one, other) in enumerate(zip_longest(read_lines(path), read_lines(target)), 1):
        if one is None or other is None:
            raise DataError(
                f"{str(path)!r} and {str(target)!r} are of different length",
                expected="line n of one to belong to line n of the other",
                received=f"one of them ends before line {number}",
            )
        yield one, other


@dataclass(frozen=True, eq=False)
class ParallelText:
    """Pairs of sentences as ids.

    Attributes:
        sources: with the end symbol, where their vocabulary has one.
        targets: between the symbols for begin and end.
        dropped: how many pairs were left out, because a side was empty or too long.
    """

    sources: Ragged
    targets: Ragged
    dropped: int = 0

    @classmethod
    def encode(
        cls,
        pairs: Iterator[tuple[str, str]],
        source: TextCoder,
        target: TextCoder,
        *,
        max_length: int | None = None,
    ) -> ParallelText:
        """Encode pairs as they come; those with an empty or longer side are left out and counted.

        Raises:
            DataError: no pair is left.
        """
        sources, targets, dropped = [], [], 0
        for one, other in pairs:
            a = source.encode(one, end=source.id_of("end") is not None)
            b = target.encode(other, begin=True, end=True)
            empty = not one.strip() or not other.strip()
            if empty or (max_length is not None and max(len(a), len(b)) > max_length):
                dropped += 1
            else:
                sources.append(a)
                targets.append(b)
        if not sources:
            raise DataError("there are no pairs", expected="at least one", received=f"{dropped} left out")
        return cls(Ragged.of(sources), Ragged.of(targets), dropped)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over both sides."""
        return hashlib.sha256((self.sources.fingerprint + self.targets.fingerprint).encode()).hexdigest()
