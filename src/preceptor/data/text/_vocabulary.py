"""Vocabularies: which characters or words have an id, and what becomes of the others."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue.language import OutOfVocabulary, out_of_vocabulary
from preceptor.errors import CheckpointError, ConfigError, DataError

__all__ = ["SPECIALS", "TextCoder", "Tokenizer", "Vocabulary", "coder_from_json"]

SPECIALS = {"padding": "<pad>", "unknown": "<unk>", "begin": "<bos>", "end": "<eos>"}
_LEVELS = ("char", "word", "punctuated")
_WORD = re.compile(r"\w+|[^\w\s]")
_VERSION = 1


class TextCoder(Protocol):
    """What turns text into ids and back: a `Vocabulary`, or `BytePairs`."""

    def encode(self, text: str, *, begin: bool = False, end: bool = False) -> NDArray[np.int32]:
        """Return the ids of a text, between the symbols for begin and end where asked."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids."""
        ...

    def __len__(self) -> int: ...

    def to_json(self) -> dict[str, Any]:
        """Return all that is needed to make it again."""
        ...

    def id_of(self, special: str) -> int | None:
        """Return the id of the padding, unknown, begin or end symbol; None where there is none."""
        ...


@dataclass(frozen=True)
class Tokenizer:
    """How a text falls into tokens.

    Attributes:
        level: ``"char"``: every character; ``"word"``: what blanks part; ``"punctuated"``: words and single
            punctuation marks.
        lower: whether capitals are made small first.

    Example:
        >>> Tokenizer("punctuated", lower=True).split("Don't, she said.")
        ['don', "'", 't', ',', 'she', 'said', '.']
    """

    level: str = "word"
    lower: bool = False

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise ConfigError(
                "level is not usable", expected=" or ".join(map(repr, _LEVELS)), received=repr(self.level)
            )

    def split(self, text: str) -> list[str]:
        """Return the tokens of a text."""
        text = text.lower() if self.lower else text
        if self.level == "char":
            return list(text)
        return text.split() if self.level == "word" else _WORD.findall(text)

    def join(self, tokens: Iterable[str]) -> str:
        """Return the text of some tokens; blanks are as they are between words."""
        return ("" if self.level == "char" else " ").join(tokens)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ids for characters or words.

    Attributes:
        symbols: in the order of their ids; symbols with a purpose first, then the most frequent.
        tokenizer: how texts are split.
        specials: which symbols stand for ``"padding"``, ``"unknown"``, ``"begin"`` and ``"end"``.
        counts: how often each occurred in the text that it was built from; 0 where that is not known.

    Example:
        >>> v = Vocabulary.build(["the cat", "the dog"], min_count=1, specials=("unknown", "end"))
        >>> v.symbols, v.encode("the bird", end=True)
        (('<unk>', '<eos>', 'the', 'cat', 'dog'), array([2, 0, 1], dtype=int32))
        >>> v.decode([2, 4, 1]), len(v)
        ('the dog', 5)
        >>> Vocabulary.from_json(v.to_json()).symbols == v.symbols
        True
    """

    symbols: tuple[str, ...]
    tokenizer: Tokenizer = Tokenizer()
    specials: Mapping[str, str] | None = None
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        strange = [s for kind, s in self._special.items() if kind not in SPECIALS or s not in self.index]
        if len(self.index) != len(self.symbols) or strange:
            raise DataError(
                "this is no vocabulary",
                expected="different symbols, those with a purpose among them",
                received=f"{len(self.symbols) - len(self.index)} twice, {strange} not among them",
            )

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        *,
        level: str = "word",
        lower: bool = False,
        size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = ("padding", "unknown", "begin", "end"),
    ) -> Vocabulary:
        """Count the tokens of some texts, line by line, and keep the most frequent.

        Arguments:
            texts: lines, which are gone through once.
            level: ``"char"``, ``"word"`` or ``"punctuated"``.
            lower: make capitals small.
            size: at most so many symbols, those with a purpose included; None: all.
            min_count: leave out what occurs less often.
            specials: the symbols with a purpose, of ``"padding"``, ``"unknown"``, ``"begin"``, ``"end"``. A
                text that brings such a symbol itself (``<unk>``, say) means the same by it.

        Raises:
            DataError: there is no token.
            ConfigError: a purpose that is unknown, or a size that leaves no room.
        """
        tokenizer, counted = Tokenizer(level, lower), Counter[str]()
        for text in texts:
            counted.update(tokenizer.split(text))
        if not counted:
            raise DataError("the text is empty", expected="at least one token", received="none")
        strange = [kind for kind in specials if kind not in SPECIALS]
        if strange or (size is not None and size <= len(specials)) or min_count < 1:
            raise ConfigError(
                "such a vocabulary cannot be built",
                expected=f"specials of {', '.join(SPECIALS)}, size above their number, min_count ≥ 1",
                received=f"specials={tuple(specials)}, size={size}, min_count={min_count}",
            )
        chosen = {kind: SPECIALS[kind] for kind in specials}
        room = None if size is None else size - len(chosen)
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        kept = [(t, n) for t, n in ranked if n >= min_count and t not in chosen.values()][:room]
        symbols = (*chosen.values(), *(t for t, _ in kept))
        counts = (*(counted[s] for s in chosen.values()), *(n for _, n in kept))
        return cls(symbols, tokenizer, chosen, counts)

    @property
    def _special(self) -> Mapping[str, str]:
        return self.specials or {}

    @cached_property
    def index(self) -> dict[str, int]:
        """The id of each symbol."""
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over symbols and rules."""
        told = {k: v for k, v in self.to_json().items() if k != "counts"}
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, token: object) -> bool:
        return token in self.index

    def id_of(self, special: str) -> int | None:
        """Return the id of the padding, unknown, begin or end symbol; None where there is none."""
        symbol = self._special.get(special)
        return None if symbol is None else self.index[symbol]

    def encode(self, text: str, *, begin: bool = False, end: bool = False) -> NDArray[np.int32]:
        """Return the ids of a text, between the symbols for begin and end where asked.

        Raises:
            DataError: a token is not in the vocabulary, which has no symbol for unknown ones.
        """
        unknown = self.id_of("unknown")
        index = self.index
        ids = [index.get(token, unknown) for token in self.tokenizer.split(text)]
        if unknown is None and None in ids:
            token = self.tokenizer.split(text)[ids.index(None)]
            raise DataError(
                f"{token!r} is not in the vocabulary",
                expected=f"one of its {len(self):,} symbols",
                received=repr(token),
                hint="a vocabulary with specials=('unknown',) takes any text",
            )
        around = [self._asked("begin")] if begin else []
        return np.array([*around, *ids, *([self._asked("end")] if end else [])], dtype=np.int32)

    def _asked(self, special: str) -> int:
        found = self.id_of(special)
        if found is None:
            raise ConfigError(
                f"the vocabulary has no {special} symbol",
                expected=f"specials with {special!r}",
                received=", ".join(self._special) or "none",
            )
        return found

    def decode(self, ids: Iterable[int], *, specials: bool = False) -> str:
        """Return the text of some ids; the symbols for padding, begin and end are left out unless asked for.

        Raises:
            DataError: an id outside the vocabulary.
        """
        hidden = () if specials else tuple(self.id_of(kind) for kind in ("padding", "begin", "end"))
        chosen = [int(i) for i in ids]
        outside = [i for i in chosen if not 0 <= i < len(self)]
        if outside:
            raise DataError(
                "ids without a symbol", expected=f"0 to {len(self) - 1}", received=str(outside[:5])
            )
        return self.tokenizer.join(self.symbols[i] for i in chosen if i not in hidden)

    def out_of_vocabulary(self, texts: Iterable[str]) -> OutOfVocabulary:
        """Return how many tokens of some texts are unknown, and which are the most frequent of them."""
        return out_of_vocabulary((t for text in texts for t in self.tokenizer.split(text)), self.index)

    def to_json(self) -> dict[str, Any]:
        """Return all that is needed to make it again."""
        return {
            "version": _VERSION,
            "kind": "vocabulary",
            "level": self.tokenizer.level,
            "lower": self.tokenizer.lower,
            "specials": dict(self._special),
            "symbols": list(self.symbols),
            "counts": list(self.counts),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Vocabulary:
        """Make it again.

        Raises:
            CheckpointError: it is not what `to_json` returned.
        """
        try:
            if state["version"] != _VERSION or state["kind"] != "vocabulary":
                raise ValueError(f"version {state['version']}, kind {state['kind']}")  # noqa: TRY301 - told below with the other kinds of damage
            return cls(
                tuple(map(str, state["symbols"])),
                Tokenizer(str(state["level"]), bool(state["lower"])),
                dict(state["specials"]),
                tuple(map(int, state["counts"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                "this is no stored vocabulary",
                expected="what Vocabulary.to_json returned",
                received=str(error).partition("\n")[0],
            ) from error


def coder_from_json(state: Mapping[str, Any]) -> TextCoder:
    """Make a stored vocabulary again, of characters, words or pieces.

    Raises:
        CheckpointError: it is neither.
    """
    if state.get("kind") == "byte-pairs":
        from preceptor.data.text._pieces import BytePairs

        return BytePairs.from_json(state)
    return Vocabulary.from_json(state)
