"""Sentences with a tag for each word: files of words and tags, and what codes both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._dataset import Array, Dataset, fingerprint
from preceptor.data._targets import NOTE
from preceptor.errors import DataError

__all__ = ["TAGGED_SUFFIXES", "TagCoder", "TokenEncoder", "read_tagged"]

TAGGED_SUFFIXES = (".conll", ".conllu", ".tags")
_PAD, _UNKNOWN, _NO_TAG = 0, 1, -1
_RARE = 2  # words that occur less often stand for those that are not known


def read_tagged(path: Path, *, name: str, origin: str) -> Dataset:
    """Read a file with a word and its tag in each line, and an empty line behind each sentence.

    The word is the first of the columns, which tabs or spaces part, its tag the last; of a ``.conllu`` file
    they
    are the second and the fourth. Lines that begin with # are left out.

    Raises:
        DataError: a line with fewer columns, no sentence, or a file that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}", expected="text in UTF-8", received=str(error)) from error
    columns = (1, 3) if path.suffix.lower() == ".conllu" else (0, -1)
    sentences: list[list[tuple[str, str]]] = [[]]
    for at, text in enumerate(lines, 1):
        parts = text.split()
        if not parts:
            sentences.append([])
        elif not text.startswith("#"):
            if len(parts) < max(2, columns[1] + 1):
                raise DataError(
                    f"{path}: line {at} has no tag", expected="a word and its tag", received=repr(text[:60])
                )
            if ("-" not in parts[0] and "." not in parts[0]) or columns[
                0
            ] == 0:  # words in several, and left out
                sentences[-1].append((parts[columns[0]], parts[columns[1]]))
    whole = [one for one in sentences if one]
    if not whole:
        raise DataError(
            f"{path} holds no sentence", expected="a word and its tag in each line", received="none"
        )
    inputs, targets = (np.array([" ".join(pair[i] for pair in one) for one in whole]) for i in (0, 1))
    return Dataset(
        name=name,
        kind="tokens",
        inputs=inputs,
        targets=targets,
        target_kind="tags",
        target_name=None,
        feature_names=(),
        classes=tuple(sorted({tag for one in whole for _, tag in one})),
        part=None,
        notes=(f"{NOTE}a tag for each word",),
        origin=origin,
        fingerprint=fingerprint(inputs, targets),
    )


def _filled(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    out = np.full((len(rows), max(map(len, rows), default=0) or 1), fill, np.int64)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return torch.from_numpy(out)


def _texts(raw: Any) -> list[str]:
    texts = [raw] if isinstance(raw, str) else [str(text) for text in np.asarray(raw).reshape(-1).tolist()]
    if any(not text.split() for text in texts):
        raise DataError("a sentence is empty", expected="words with spaces between them", received="none")
    return texts


@dataclass(frozen=True, eq=False)
class TokenEncoder:
    """Words as ids, 0 behind the end of a sentence, 1 for words that are not known.

    Attributes:
        words: those that occurred at least twice in the training sentences, from id 2 on.
        longest: of the training sentences, in words.

    Example:
        >>> encoder = TokenEncoder.fit(np.array(["a dog sees a dog", "a cat"]), np.array([0, 1]))
        >>> encoder.words, encoder.apply(["a bird", "dog"]).tolist()
        (('a', 'dog'), [[2, 1], [3, 0]])
    """

    kind: ClassVar[str] = "tokens"
    names: ClassVar[tuple[str, ...]] = ()
    gaps: ClassVar[bool] = False

    words: tuple[str, ...]
    longest: int

    @classmethod
    def fit(cls, sentences: Array, rows: Array) -> TokenEncoder:
        """Take the words from those rows alone."""
        split = [text.split() for text in sentences[rows].tolist()]
        counts = Counter(word for words in split for word in words)
        return cls(tuple(sorted(w for w, n in counts.items() if n >= _RARE)), max(map(len, split)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(words of the longest training sentence,)."""
        return (self.longest,)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.words) + 2

    def apply(self, raw: Any) -> torch.Tensor:
        """Return sentences as ids, int64 (N, T)."""
        index = {word: i for i, word in enumerate(self.words, _UNKNOWN + 1)}
        return _filled([[index.get(word, _UNKNOWN) for word in text.split()] for text in _texts(raw)], _PAD)

    def describe(self) -> list[str]:
        """Say what was fitted."""
        return [f"{len(self.words):,} words that occur twice or more; all others are one unknown word"]

    def to_state(self) -> dict[str, Any]:
        """Return plain data."""
        return {"words": list(self.words), "longest": self.longest}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TokenEncoder:
        """Build again what `to_state` described."""
        return cls(tuple(state["words"]), int(state["longest"]))


@dataclass(frozen=True)
class TagCoder:
    """Tags as ids, −1 behind the end of a sentence.

    Example:
        >>> TagCoder(("NOUN", "VERB")).apply(["NOUN VERB", "VERB"]).tolist()
        [[0, 1], [1, -1]]
    """

    kind: ClassVar[str] = "tags"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return int64 (N, T); `DataError` for a tag that is not known."""
        index = {tag: i for i, tag in enumerate(self.classes)}
        rows = [text.split() for text in _texts(raw)]
        unknown = sorted({tag for row in rows for tag in row if tag not in index})
        if unknown:
            raise DataError(
                "a tag is unknown", expected=", ".join(self.classes[:20]), received=", ".join(unknown[:6])
            )
        return _filled([[index[tag] for tag in row] for row in rows], _NO_TAG)

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}
