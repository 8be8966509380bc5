"""Counts of n-grams of every order up to one, as sorted arrays in place of a dictionary of tuples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_count
from preceptor.errors import DataError

__all__ = ["Ints", "Level", "NgramCounts", "Stream", "as_ids"]

Ints: TypeAlias = NDArray[np.int64]


def as_ids(tokens: Any, size: int, what: str = "tokens") -> Ints:
    """Return token ids as a flat array.

    Raises:
        DataError: they are no whole numbers from 0 to size − 1 in one row.

    Example:
        >>> as_ids([0, 2, 1], 3)
        array([0, 2, 1])
    """
    check_count("language model", "size", size)
    ids = np.asarray(tokens)
    whole = ids.ndim == 1 and (ids.dtype.kind in "iu" or not len(ids))
    if whole and (not len(ids) or (int(ids.min()) >= 0 and int(ids.max()) < size)):
        return ids.astype(np.int64)
    span = f" from {ids.min()} to {ids.max()}" if whole else ""
    raise DataError(
        f"the {what} are no token ids",
        expected=f"one row of whole numbers from 0 to {size - 1}",
        received=f"{ids.dtype} of shape {ids.shape}{span}",
        hint="Vocabulary.encode turns text into ids",
    )


@dataclass(frozen=True, eq=False)
class Stream:
    """Tokens with begin symbols before each sentence.

    Attributes:
        symbols: tokens and begin symbols.
        column: how far each symbol is from the first begin symbol of its sentence.
        place: where each token stands among the symbols.
    """

    symbols: Ints
    column: Ints
    place: Ints

    @classmethod
    def of(cls, tokens: Ints, order: int, begin: int, end: int | None) -> Stream:
        """Put ``order`` − 1 begin symbols before the text, and behind each ``end`` within it.

        Example:
            >>> Stream.of(np.array([0, 1, 2, 1]), order=3, begin=3, end=1).symbols
            array([3, 3, 0, 1, 3, 3, 2, 1])
        """
        first = np.zeros(len(tokens), dtype=bool)
        first[:1] = True
        if end is not None:
            first[1:] = tokens[:-1] == end
        padding = order - 1
        place = np.arange(len(tokens)) + padding * np.cumsum(first)
        symbols = np.full(len(tokens) + padding * int(first.sum()), begin, dtype=np.int64)
        symbols[place] = tokens
        starts = place[first] - padding
        column = np.arange(len(symbols)) - np.repeat(starts, np.diff(np.append(starts, len(symbols))))
        return cls(symbols, column, place)


@dataclass(frozen=True, eq=False)
class Level:
    """The n-grams of one order, sorted.

    Attributes:
        keys: context · (size + 1) + word, in ascending order.
        counts: how often each occurs; 0 where its last word is the begin symbol, which nobody predicts.
        suffixes: each n-gram without its first word, as a row of the level below.
        begins: whether its first word is the begin symbol.
        base: size + 1.
    """

    keys: Ints
    counts: Ints
    suffixes: Ints
    begins: NDArray[np.bool_]
    base: int

    @property
    def contexts(self) -> Ints:
        """Each n-gram without its last word, as a row of the level below."""
        return self.keys // self.base

    @property
    def words(self) -> Ints:
        """Each n-gram's last word."""
        return self.keys % self.base

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether the last word is one of the vocabulary, not the begin symbol."""
        return self.words < self.base - 1

    def rows(self, context: Ints, word: Ints) -> Ints:
        """Return the row of each n-gram, −1 where it was never seen; a context of −1 was not either."""
        wanted = context * self.base + word
        found = np.searchsorted(self.keys, wanted).clip(max=max(len(self.keys) - 1, 0))
        known = (context >= 0) & (self.keys[found] == wanted) if len(self.keys) else np.zeros(len(word), bool)
        return np.where(known, found, -1)


@dataclass(frozen=True, eq=False)
class NgramCounts:
    """Counts of all n-grams of a text, for orders 1 … n.

    An n-gram is the row of its context in the level below and its last word, one 64-bit number: counting is
    one sort an order, looking up one binary search.

    Attributes:
        levels: of orders 1, 2, …; the first one holds every word of the vocabulary.
        size: words in the vocabulary; the begin symbol has this number.
        end: the token that ends a sentence, or None for one running text.

    Example:
        >>> counts = NgramCounts.of([0, 1, 0, 1, 2], size=3, order=2)
        >>> counts.levels[0].counts, counts.count([0, 1]), counts.count([1, 1])
        (array([2, 2, 1, 0]), 2, 0)
    """

    levels: tuple[Level, ...]
    size: int
    end: int | None

    @classmethod
    def of(cls, tokens: Any, size: int, order: int = 3, end: int | None = None) -> NgramCounts:
        """Count a text.

        Raises:
            DataError: no token ids, or none at all.
        """
        check_count("n-gram", "order", order)
        ids = as_ids(tokens, size)
        if not len(ids):
            raise DataError("there is nothing to count", expected="at least one token", received="none")
        stream = Stream.of(ids, order, size, end)
        real = np.bincount(ids, minlength=size + 1)
        begins = np.zeros(size + 1, dtype=bool)
        begins[size] = True
        words = np.arange(size + 1)
        levels = [Level(words, real, np.zeros(size + 1, dtype=np.int64), begins, size + 1)]
        rows = stream.symbols
        for k in range(2, order + 1):
            level, rows = _next_level(levels[-1], rows, stream, k)
            levels.append(level)
        return cls(tuple(levels), size, end)

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.levels)

    def rows(self, tokens: Any) -> tuple[list[Ints], list[Ints]]:
        """Return, for each order, the row of the n-gram that ends at each token, and that of its context."""
        stream = Stream.of(as_ids(tokens, self.size), self.order, self.size, self.end)
        here, before = [stream.symbols], [np.zeros_like(stream.symbols)]
        for level in self.levels[1:]:
            context = np.concatenate([[-1], here[-1][:-1]])
            before.append(context)
            here.append(level.rows(context, stream.symbols))
        return [rows[stream.place] for rows in here], [rows[stream.place] for rows in before]

    def count(self, ngram: Any) -> int:
        """Return how often an n-gram occurs."""
        ids = as_ids(ngram, self.size, "words of the n-gram")
        row = ids[:1]
        for level, word in zip(self.levels[1:], ids[1:], strict=False):
            row = level.rows(row, np.array([word]))
        return int(self.levels[len(ids) - 1].counts[row[0]]) if row[0] >= 0 else 0


def _next_level(below: Level, rows: Ints, stream: Stream, k: int) -> tuple[Level, Ints]:
    """Count the n-grams of order k; return with them the row of the one that ends at each symbol."""
    ends = np.flatnonzero(stream.column >= k - 1)  # within one sentence
    words = stream.symbols[ends]
    keys, first, inverse, counts = np.unique(
        rows[ends - 1] * below.base + words, return_index=True, return_inverse=True, return_counts=True
    )
    counts[keys % below.base == below.base - 1] = 0
    begins = below.begins[keys // below.base]
    level = Level(keys, counts, rows[ends[first]], begins, below.base)
    here = np.full(len(rows), -1, dtype=np.int64)
    here[ends] = inverse
    return level, here
