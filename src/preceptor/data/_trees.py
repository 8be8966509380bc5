"""Sentences with a tree over each: files of brackets, and what codes them as the spans of a binary tree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch

from preceptor.data._dataset import Array, Dataset, fingerprint
from preceptor.data._targets import NOTE
from preceptor.errors import DataError

__all__ = ["TREE_SUFFIXES", "TreeCoder", "bracketed", "labelled_spans", "read_trees", "tree_data"]

TREE_SUFFIXES = (".trees", ".mrg", ".ptb")
_PIECE = re.compile(r"\(([^\s()]*)|\)|[^\s()]+")
_TRACE, _CHAIN = "-NONE-", "+"
_NO_SPAN = -1

Spans: TypeAlias = dict[tuple[int, int], str]
"""Labels of constituents by first and last word; those one in another are joined, the outer one first."""


@dataclass
class _Reader:
    """What is read of a tree: its words, its brackets, inner ones first, and those that are still open.

    A bracket is (first word, last word, label, of one word alone); an open one its label, its first word and
    how many are within it.
    """

    words: list[str] = field(default_factory=list)
    closed: list[tuple[int, int, str, bool]] = field(default_factory=list)
    still: list[list[Any]] = field(default_factory=list)

    def open(self, label: str) -> None:
        for around in self.still[-1:]:
            around[2] += 1
        self.still.append([label, len(self.words), 0])

    def close(self) -> None:
        label, first, within = self.still.pop()
        if label == _TRACE:
            del self.words[first:]
        elif label and len(self.words) > first:
            alone = not within and len(self.words) == first + 1
            self.closed.append((first, len(self.words) - 1, label, alone))


def _read(lines: Iterable[str], where: str) -> Iterator[_Reader]:
    """Yield what is read of each tree."""
    reader = _Reader()
    for at, line in enumerate(lines, 1):
        for found in _PIECE.finditer(line):
            piece = found.group()
            if piece.startswith("("):
                reader.open(found.group(1))
            elif not reader.still:
                raise DataError(
                    f"{where}: line {at} is no tree",
                    expected="brackets such as (S (NP the dog) (VP ran))",
                    received=repr(line.strip()[:60]),
                )
            elif piece != ")":
                reader.words.append(piece)
            else:
                reader.close()
            if not reader.still:
                if reader.words:
                    yield reader
                reader = _Reader()
    if reader.still:
        raise DataError(
            f"{where}: a bracket is not closed", expected=")", received=f"({reader.still[0][0]} …"
        )


def _joined(brackets: Iterable[tuple[int, int, str, bool]]) -> Spans:
    spans: Spans = {}
    for first, last, label, _ in brackets:
        inner = spans.get((first, last))
        spans[first, last] = label if inner is None else label + _CHAIN + inner
    return spans


def labelled_spans(tree: str) -> tuple[list[str], Spans]:
    """Return the words of a tree in brackets, and the labels of its constituents.

    Raises:
        DataError: it is not one tree.

    Example:
        >>> labelled_spans("(S (NP the dog) (VP ran))")
        (['the', 'dog', 'ran'], {(0, 1): 'NP', (2, 2): 'VP', (0, 2): 'S'})
    """
    found = list(_read([tree], "a tree"))
    if len(found) != 1:
        raise DataError(
            "a target is not one tree", expected="one pair of brackets around it", received=tree[:60]
        )
    return found[0].words, _joined(found[0].closed)


def bracketed(words: Sequence[str], spans: Mapping[tuple[int, int], str]) -> str:
    """Return a tree in brackets; those around the whole have no label where it is no constituent.

    Example:
        >>> bracketed(["the", "dog", "ran"], {(0, 1): "NP", (2, 2): "VP", (0, 2): "S"})
        '(S (NP the dog) (VP ran))'
    """
    before: dict[int, list[str]] = defaultdict(list)
    after: dict[int, int] = defaultdict(int)
    whole = {(0, len(words) - 1): "", **spans}
    for (first, last), label in sorted(whole.items(), key=lambda one: (one[0][0], -one[0][1])):
        parts = label.split(_CHAIN)
        before[first] += [f"({part}" for part in parts]
        after[last] += len(parts)
    return " ".join(" ".join([*before[i], word + ")" * after[i]]) for i, word in enumerate(words))


def read_trees(path: Path, *, name: str, origin: str) -> Dataset:
    """Read a file of trees in brackets, as treebanks have them: ``(S (NP the dog) (VP ran))``.

    Where every word stands in brackets of its own, these are its part of speech, and left out, as are traces
    (``-NONE-``) and what follows - or = in a label, and brackets without a label.

    Raises:
        DataError: brackets that do not match, words outside, no tree, or a file that cannot be read.
    """
    try:
        found = list(_read(path.read_text(encoding="utf-8").splitlines(), str(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}", expected="text in UTF-8", received=str(error)) from error
    if not found:
        raise DataError(f"{path} holds no tree", expected="(S (NP the dog) (VP ran))", received="none")
    spoken = all(sum(alone for *_, alone in one.closed) == len(one.words) for one in found)
    trees = []
    for one in found:
        kept = ((a, b, _plain(label), alone) for a, b, label, alone in one.closed if not (spoken and alone))
        trees.append((one.words, _joined(kept)))
    return tree_data(trees, name=name, origin=origin)


def _plain(label: str) -> str:
    return re.split(r"[-=]", label)[0] or label


def tree_data(trees: Sequence[tuple[Sequence[str], Spans]], *, name: str, origin: str) -> Dataset:
    """Return sentences and their trees as data.

    Raises:
        DataError: no tree has a constituent.
    """
    labels = sorted({label for _, spans in trees for label in spans.values()})
    if not labels:
        raise DataError(
            "no tree has a constituent", expected="(S (NP the dog) (VP ran))", received="words alone"
        )
    inputs = np.array([" ".join(words) for words, _ in trees])
    targets = np.array([bracketed(words, spans) for words, spans in trees])
    return Dataset(
        name=name,
        kind="tokens",
        inputs=inputs,
        targets=targets,
        target_kind="trees",
        target_name=None,
        feature_names=(),
        classes=tuple(labels),
        part=None,
        notes=(f"{NOTE}a tree over each sentence",),
        origin=origin,
        fingerprint=fingerprint(inputs, targets),
    )


def _binary(words: int, spans: Mapping[tuple[int, int], str]) -> Iterator[tuple[int, int, str | None]]:
    """Yield the spans of the binary tree, the whole sentence first, with their labels; it branches right."""
    every = {*spans, (0, words - 1), *((i, i) for i in range(words))}
    within: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    around: list[tuple[int, int]] = []
    for span in sorted(every, key=lambda one: (one[0], -one[1])):
        while around and around[-1][1] < span[0]:
            around.pop()
        if around:
            within[around[-1]].append(span)
        around.append(span)
    waiting = [[(0, words - 1)]]
    while waiting:
        group = waiting.pop()
        first, last = group[0][0], group[-1][1]
        yield first, last, spans.get((first, last)) if len(group) == 1 else None
        parts = within[group[0]] if len(group) == 1 else group
        if parts:
            waiting += [parts[1:], parts[:1]]


@dataclass(frozen=True)
class TreeCoder:
    """Trees as spans of binary trees: first word, last word, label from 1 on or 0 for none; −1 fills up.

    Example:
        >>> coder = TreeCoder(("NP", "S"))
        >>> coder.apply(["(S (NP the dog) ran)"])[0].tolist()
        [[0, 2, 2], [0, 1, 1], [0, 0, 0], [1, 1, 0], [2, 2, 0]]
        >>> coder.tree("the dog ran", [[0, 2, 2], [0, 1, 1], [0, 0, 0], [1, 1, 0], [2, 2, 0]])
        '(S (NP the dog) ran)'
    """

    kind: ClassVar[str] = "trees"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return int64 (N, 2T − 1, 3); `DataError` for a label that is not known, or what is no tree."""
        texts = (
            [raw] if isinstance(raw, str) else [str(text) for text in np.asarray(raw).reshape(-1).tolist()]
        )
        trees = [labelled_spans(text) for text in texts]
        unknown = sorted({label for _, spans in trees for label in spans.values()} - set(self.classes))
        if unknown:
            raise DataError(
                "a constituent is of an unknown kind",
                expected=", ".join(self.classes[:20]),
                received=", ".join(unknown[:6]),
            )
        index: dict[str | None, int] = {None: 0, **{label: i for i, label in enumerate(self.classes, 1)}}
        longest = max((len(words) for words, _ in trees), default=1)
        out: Array = np.full((len(trees), 2 * longest - 1, 3), _NO_SPAN, np.int64)
        for row, (words, spans) in zip(out, trees, strict=True):
            row[: 2 * len(words) - 1] = [(a, b, index[label]) for a, b, label in _binary(len(words), spans)]
        return torch.from_numpy(out)

    def tree(self, sentence: str, rows: Iterable[Sequence[int]]) -> str:
        """Return the tree over a sentence in brackets."""
        words = sentence.split()
        spans = {(a, b): self.classes[label - 1] for a, b, label in rows if label > 0 and 0 <= b < len(words)}
        return bracketed(words, spans)

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}
