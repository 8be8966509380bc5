"""Vectors with the words that they belong to: neighbours, sums, analogies, files of published vectors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, DataError, UnknownName
from preceptor.files import open_text, write_text

__all__ = ["WordVectors", "word_vectors"]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each word.

    Attributes:
        words: (V,) words, all different, the most frequent first where that is known.
        vectors: (V, d) float32.
        notes: what was left out or doubtful when they were read.

    Raises:
        DataError: not one vector a word, or a word twice.

    Example:
        >>> v = WordVectors(("king", "queen", "man", "woman"), torch.tensor(
        ...     [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
        >>> [word for word, _ in v.neighbours("king - man + woman", 1)]
        ['queen']
    """

    words: tuple[str, ...]
    vectors: Tensor
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words) or not self.words:
            raise DataError(
                "words and vectors do not pair up",
                expected=f"{len(self.words)} vectors, at least one",
                received=f"shape {tuple(self.vectors.shape)}",
            )
        if len(self.index) != len(self.words):
            twice = next(w for i, w in enumerate(self.words) if self.index[w] != i)
            raise DataError("a word has two vectors", expected="different words", received=repr(twice))

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def directions(self) -> Tensor:
        """The vectors at length 1; a vector of zeros stays one."""
        return torch.nn.functional.normalize(self.vectors, dim=1, eps=1e-12)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def row(self, word: str) -> int:
        """Return a word's row, by its lower-case form where it has none itself.

        Raises:
            UnknownName: there is no vector for it.
        """
        for form in (word, word.lower()):
            if form in self.index:
                return self.index[form]
        raise UnknownName("word", word, self.words)

    def __getitem__(self, word: str) -> Tensor:
        return self.vectors[self.row(word)]

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of the angle between two words."""
        return float(self.directions[self.row(a)] @ self.directions[self.row(b)])

    def neighbours(self, expression: str, count: int = 10) -> list[tuple[str, float]]:
        """Return the words nearest to a word or a sum, ``"king - man + woman"``, with their cosines.

        The words of the expression itself are left out.

        Raises:
            UnknownName: a word without a vector.
            ConfigError: signs that stand alone.
        """
        check_count("neighbours", "count", count)
        plus, minus = parse(expression)
        rows = [self.row(word) for word in (*plus, *minus)]
        signs = torch.tensor([1.0] * len(plus) + [-1.0] * len(minus))
        wanted = signs @ self.directions[rows]
        cosines = self.directions @ wanted / wanted.norm().clamp_min(1e-12)
        cosines[rows] = -math.inf
        best = cosines.topk(min(count, len(self) - len(set(rows))))
        return [(self.words[i], float(c)) for c, i in zip(best.values, best.indices, strict=True)]

    def analogies(self, questions: Sequence[Sequence[int]] | Tensor, batch: int = 1024) -> Tensor:
        """Return the row that answers "a is to b as c is to ?" for each (a, b, c, …) of rows, by 3CosAdd.

        The answer is the word with the largest cosine to b − a + c, of unit vectors; a, b and c are left out.
        """
        asked = torch.as_tensor(questions)[:, :3]
        unit, answers = self.directions, []
        for rows in torch.split(asked, batch):
            a, b, c = unit[rows].unbind(1)
            cosines = (b - a + c) @ unit.T
            cosines.scatter_(1, rows, -math.inf)
            answers.append(cosines.argmax(1))
        return torch.cat(answers) if answers else torch.empty(0, dtype=torch.int64)

    def without_common(self, directions: int = 1, frequent: int = 5000) -> WordVectors:
        """Return vectors without what nearly all share: their mean and the longest common directions.

        Arguments:
            directions: how many principal directions are removed beside the mean.
            frequent: the first words, of which the directions are taken.

        Source: Mu and Viswanath, All-but-the-Top, 2018.
        """
        check_count("without_common", "directions", directions, 0)
        centred = self.vectors - self.vectors.mean(0)
        if directions:
            _, _, axes = torch.linalg.svd(centred[:frequent], full_matrices=False)
            top = axes[: min(directions, len(axes))]
            centred = centred - centred @ top.T @ top
        return WordVectors(self.words, centred, self.notes)

    def matrix(
        self, vocabulary: Iterable[str], unknown: str = "mean", seed: int = 0
    ) -> tuple[Tensor, list[str]]:
        """Return vectors for the words of another vocabulary, to start an embedding from, and those unknown.

        Arguments:
            vocabulary: words, in the order of their ids.
            unknown: what a word without a vector gets: ``"zero"``, the ``"mean"`` of all vectors, or a
                ``"random"`` one of their spread.
            seed: of the random ones.
        """
        check_choice("matrix", "unknown", unknown, ("zero", "mean", "random"))
        words = list(vocabulary)
        missing = [word for word in words if word not in self.index and word.lower() not in self.index]
        generator = torch.Generator().manual_seed(seed)
        middle = self.vectors.mean(0)
        rows = []
        absent = set(missing)
        for word in words:
            if word not in absent:
                rows.append(self[word])
            elif unknown == "random":
                rows.append(middle + self.vectors.std(0) * torch.randn(middle.shape, generator=generator))
            else:
                rows.append(middle if unknown == "mean" else torch.zeros_like(middle))
        return torch.stack(rows) if rows else self.vectors[:0], missing

    def save(self, path: Path | str) -> None:
        """Write a text file with a line ``word v1 … vd`` for each word."""
        lines = (
            " ".join([word, *(f"{x:.6g}" for x in row)])
            for word, row in zip(self.words, self.vectors.tolist(), strict=True)
        )
        write_text(Path(path), "\n".join(lines) + "\n")


def parse(expression: str) -> tuple[list[str], list[str]]:
    """Return the words with a plus and those with a minus.

    Example:
        >>> parse("king - man + woman")
        (['king', 'woman'], ['man'])
    """
    plus: list[str] = []
    minus: list[str] = []
    sign: str | None = "+"
    for part in expression.split():
        if part in ("+", "-", "−"):
            if sign is not None and (plus or minus):
                break
            sign = part
        else:
            (minus if sign in ("-", "−") else plus).append(part)
            sign = None
    if sign is not None:
        raise ConfigError(
            "this is no sum of words", expected="words with + and - between them", received=repr(expression)
        )
    return plus, minus


@registered(
    kind="word-embedding",
    name="word-vectors",
    aliases=("glove-pre", "pretrained-embeddings", "text-vectors", "pretrained-word-vectors"),
    formula="a line 'word v1 … vd' for each word, d numbers; a first line of two numbers (as word2vec "
    "writes) is skipped",
    shapes="a text file, also .gz or .xz → V words with vectors (V, d) float32",
    when="vectors that others trained on far more text: neighbours, or the start of an embedding layer",
    pitfalls="words must be spelt as in the file (often lower case); words without a vector are named, and "
    "get zeros, "
    "the mean or a random vector from `matrix`",
    source="Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, 2014",
    differs="gensim's KeyedVectors.load_word2vec_format with no_header; words may hold blanks, which are "
    "read from the end",
    example="""
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / 'tiny.txt'
    >>> _ = file.write_text('king 1 0\\nqueen 1 1\\n')
    >>> vectors = get('word-vectors', file)
    >>> vectors.matrix(['queen', 'duke'], unknown='zero')
    (tensor([[1., 1.],
            [0., 0.]]), ['duke'])
    """,
)
def word_vectors(path: Any, limit: int | None = None, words: Any = None) -> WordVectors:
    """Word vectors from a text file, all of them, the first `limit`, or those of some words."""
    if limit is not None:
        check_count("word-vectors", "limit", limit)
    wanted = None if words is None else set(words)
    found: dict[str, Any] = {}
    twice, dim = 0, None
    with open_text(Path(path)) as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip("\n").rstrip(" ").split(" ")
            if number == 1 and len(parts) == 2 and all(p.isdigit() for p in parts):
                continue
            if dim is None:
                dim = len(parts) - 1
            word = " ".join(parts[:-dim]) if dim else ""
            if wanted is not None and word not in wanted:
                continue
            if word in found:
                twice += 1
                continue
            found[word] = _numbers(parts, dim, path, number)
            if len(found) == limit:
                break
    if not found:
        raise DataError(
            f"{str(path)!r} has no word vectors" + (" for these words" if wanted is not None else ""),
            expected="lines 'word v1 … vd'",
            received="none",
        )
    notes = (f"{twice:,} words again: the first vector counts",) if twice else ()
    return WordVectors(tuple(found), torch.from_numpy(np.stack(list(found.values()))), notes)


def _numbers(parts: list[str], dim: int, path: Any, number: int) -> Any:
    try:
        values = np.array(parts[-dim:] if dim else [], dtype=np.float32)
    except ValueError:
        values = np.empty(0, dtype=np.float32)
    if len(parts) <= dim or not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"{str(path)!r}: line {number} is no word vector",
            expected=f"a word and {dim or 'its'} numbers",
            received=" ".join(parts)[:60],
        )
    return values
