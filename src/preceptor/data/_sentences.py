"""Sentences as ids: what is fitted on the training pairs, one vocabulary for each language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from preceptor.data._dataset import Array, Dataset
from preceptor.data.text import BytePairs, Ragged, TextCoder, Vocabulary, coder_from_json, pad
from preceptor.errors import ConfigError, DataError

__all__ = ["SequenceCoder", "SourceEncoder", "fit_sentences", "fit_vocabulary", "spelled", "symbols_of"]

_PIECES, _RARE = 8000, 2


def fit_vocabulary(
    texts: Iterable[str],
    *,
    level: str = "auto",
    lower: bool = False,
    size: int | None = None,
    min_count: int | str = "auto",
) -> TextCoder:
    """Make the vocabulary of some sentences, with symbols for padding, begin, end and, of words, the unknown.

    Arguments:
        texts: of the training part alone.
        level: ``"char"``, ``"word"``, ``"punctuated"``, or ``"byte-pairs"``; ``"auto"``: punctuated.
        lower: make capitals small.
        size: at most so many symbols; None: all, and 8,000 pieces of words.
        min_count: how often a symbol must occur; ``"auto"``: words twice, so that the unknown one is learned.

    Raises:
        ConfigError: small letters of pieces, which keep capitals.
        DataError: there is no text.
        ExtraMissing: pieces of words without their library.

    Example:
        >>> fit_vocabulary(["A dog.", "A cat."], lower=True).encode("a bird.", begin=True, end=True)
        array([2, 5, 1, 4, 3], dtype=int32)
    """
    if level == "byte-pairs":
        if lower:
            raise ConfigError("pieces of words keep capitals", expected="lower=false", received="lower=true")
        least = _RARE if min_count == "auto" else int(min_count)
        return BytePairs.train(texts, size=size or _PIECES, min_count=least)
    level = "punctuated" if level == "auto" else level
    rare = 1 if level == "char" else _RARE
    least = rare if min_count == "auto" else int(min_count)
    return Vocabulary.build(texts, level=level, lower=lower, size=size, min_count=least)


def _listed(raw: Any, named: str) -> list[str]:
    texts = [raw] if isinstance(raw, str) else list(raw)
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise DataError(
            f"{named} are no texts", expected="a list of sentences", received=f"{strange[0]!r:.60}"
        )
    return texts


def _told(coder: TextCoder) -> str:
    level = coder.tokenizer.level if isinstance(coder, Vocabulary) else "byte-pairs"
    return f"{len(coder):,} symbols ({level})"


@dataclass(frozen=True, eq=False)
class SourceEncoder:
    """Source sentences as ids, each with the end symbol.

    Attributes:
        coder: the vocabulary of the source language.
        longest: of the training sentences, in ids.
    """

    kind: ClassVar[str] = "pairs"
    names: ClassVar[tuple[str, ...]] = ()
    gaps: ClassVar[bool] = False

    coder: TextCoder
    longest: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the longest training sentence."""
        return (self.longest,)

    def ids(self, raw: Any) -> Ragged:
        """Return sentences as rows of ids."""
        return Ragged.of(self.coder.encode(text, end=True) for text in _listed(raw, "sources"))

    def apply(self, raw: Any) -> Tensor:
        """Return sentences as ids (N, T), the shorter ones filled up with padding."""
        return pad(list(self.ids(raw)), self.coder.id_of("padding") or 0)[0]

    def describe(self) -> list[str]:
        """Say what was fitted."""
        return [f"sources: {_told(self.coder)}, of the training part alone"]

    def to_state(self) -> dict[str, Any]:
        """Return plain data."""
        return {"coder": self.coder.to_json(), "longest": self.longest}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SourceEncoder:
        """Build again what `to_state` described."""
        return cls(coder_from_json(state["coder"]), int(state["longest"]))


@dataclass(frozen=True, eq=False)
class SequenceCoder:
    """Target sentences as ids between the symbols for begin and end.

    Attributes:
        coder: the vocabulary of the target language.
        longest: of the training sentences, in ids.
    """

    kind: ClassVar[str] = "sequences"

    coder: TextCoder
    longest: int

    def ids(self, raw: Any) -> Ragged:
        """Return sentences as rows of ids."""
        return Ragged.of(self.coder.encode(text, begin=True, end=True) for text in _listed(raw, "targets"))

    def apply(self, raw: Any) -> Tensor:
        """Return sentences as ids (N, T), the shorter ones filled up with padding."""
        return pad(list(self.ids(raw)), self.coder.id_of("padding") or 0)[0]

    def special(self, purpose: str) -> int:
        """Return the id of the padding, begin or end symbol."""
        found = self.coder.id_of(purpose)
        assert found is not None  # noqa: S101 - it was built with all of them
        return found

    @property
    def lower(self) -> bool:
        """Whether capitals are made small, so that translations have none."""
        return isinstance(self.coder, Vocabulary) and self.coder.tokenizer.lower

    def describe(self) -> list[str]:
        """Say what was fitted."""
        return [f"targets: {_told(self.coder)}, of the training part alone"]

    def to_state(self) -> dict[str, Any]:
        """Return plain data."""
        return {"coder": self.coder.to_json(), "longest": self.longest}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SequenceCoder:
        """Build again what `to_state` described."""
        return cls(coder_from_json(state["coder"]), int(state["longest"]))


def fit_sentences(
    dataset: Dataset, rows: Array, settings: Mapping[str, Any]
) -> tuple[SourceEncoder, SequenceCoder]:
    """Fit both vocabularies on those rows alone; settings are those of `fit_vocabulary`."""
    sides = [
        [str(text) for text in np.asarray(side, dtype=object)[rows]]
        for side in (dataset.inputs, dataset.targets)
    ]
    coders = [fit_vocabulary(side, **settings) for side in sides]
    longest = [
        max(len(coder.encode(text)) for text in side) for coder, side in zip(coders, sides, strict=True)
    ]
    return SourceEncoder(coders[0], longest[0] + 1), SequenceCoder(coders[1], longest[1] + 2)


_BEFORE = re.compile(r" ([.,;:!?%)\]}»”…])")
_BEHIND = re.compile(r"([(\[{«„]) ")
_BETWEEN = re.compile(r"(?<=\w) ([-'’]) (?=\w)")


def spelled(coder: TextCoder, symbols: Sequence[str], ids: Sequence[int] = ()) -> str:
    """Return some symbols as a text, as a person would write it; pieces of words by their ``ids``.

    Example:
        >>> coder = fit_vocabulary(["It is the dog's ball, or so."] * 2)
        >>> spelled(coder, ["the", "dog", "'", "s", "ball", ",", "or", "so", "."])
        "the dog's ball, or so."
    """
    if not isinstance(coder, Vocabulary):
        return coder.decode(ids).strip()  # a letter of several bytes may be several pieces
    text = coder.tokenizer.join(symbols)
    if coder.tokenizer.level != "punctuated":
        return text
    for pattern, written in ((_BEFORE, r"\1"), (_BEHIND, r"\1"), (_BETWEEN, r"\1")):
        text = pattern.sub(written, text)
    return text


def symbols_of(coder: TextCoder, ids: Iterable[int]) -> list[str]:
    """Return the symbols of some ids, one text each.

    Example:
        >>> symbols_of(fit_vocabulary(["a a b b"]), [4, 5, 3])
        ['a', 'b', '<eos>']
    """
    if isinstance(coder, Vocabulary):
        return [coder.symbols[int(i)] for i in ids]
    return [coder.decode([int(i)]) for i in ids]
