"""Sentences of a small grammar, parts of speech and trees: words that are nouns here and verbs there."""

from __future__ import annotations

from functools import cache

import numpy as np

from preceptor.data._dataset import Dataset, fingerprint
from preceptor.data._targets import NOTE
from preceptor.data._trees import Spans, tree_data

__all__ = ["grammar_sentences", "grammar_trees", "sentence"]

_RULES: dict[str, tuple[tuple[float, tuple[str, ...]], ...]] = {
    "S": ((1.0, ("NP", "VP")),),
    "NP": ((0.55, ("DET", "NOUN")), (0.25, ("DET", "ADJ", "NOUN")), (0.2, ("NP", "PP"))),
    "VP": ((0.25, ("VERB",)), (0.5, ("VERB", "NP")), (0.15, ("VERB", "ADV")), (0.1, ("VP", "PP"))),
    "PP": ((1.0, ("PREP", "NP")),),
}
_WORDS = {
    "DET": ("the", "a", "every", "this"),
    "ADJ": ("old", "light", "cool", "fast", "round", "small"),
    "ADV": ("fast", "well", "light", "often", "round"),
    "PREP": ("with", "near", "behind", "round"),
    "NOUN": (
        "duck",
        "saw",
        "watch",
        "light",
        "fish",
        "play",
        "walk",
        "park",
        "dog",
        "child",
        "round",
        "cook",
    ),
    "VERB": ("saw", "duck", "watch", "light", "fish", "play", "walk", "park", "cook", "cool", "sees"),
}
_COUNT, _SEED, _DEEPEST = 3000, 0, 4


def sentence(draw: np.random.Generator) -> tuple[list[str], list[str]]:
    """Draw the words of a sentence and their parts of speech.

    Example:
        >>> sentence(np.random.default_rng(3))
        (['this', 'walk', 'saw', 'fast'], ['DET', 'NOUN', 'VERB', 'ADV'])
    """
    return _drawn(draw)[:2]


def _drawn(draw: np.random.Generator) -> tuple[list[str], list[str], Spans]:
    tags: list[str] = []
    spans: Spans = {}
    _grow("S", draw, 0, tags, spans)
    return [str(draw.choice(_WORDS[tag])) for tag in tags], tags, spans


def _grow(symbol: str, draw: np.random.Generator, depth: int, tags: list[str], spans: Spans) -> None:
    if symbol in _WORDS:
        tags.append(symbol)
        return
    rules, first = _RULES[symbol], len(tags)
    chances = [chance for chance, _ in rules]
    at = 0 if depth > _DEEPEST else int(draw.choice(len(rules), p=chances))
    for part in rules[at][1]:
        _grow(part, draw, depth + 1, tags, spans)
    spans[first, len(tags) - 1] = symbol  # no rule makes one constituent of another alone


@cache
def _different() -> dict[str, tuple[list[str], list[str], Spans]]:
    """Return the sentences, none of them twice."""
    draw, drawn = np.random.default_rng(_SEED), dict[str, tuple[list[str], list[str], Spans]]()
    while len(drawn) < _COUNT:
        one = _drawn(draw)
        drawn.setdefault(" ".join(one[0]), one)
    return drawn


def grammar_sentences(name: str = "grammar-sentences") -> Dataset:
    """Return 3,000 different sentences of a small grammar as words, and a part of speech for each.

    Most words have two or three parts of speech: what a word is follows from those around it.

    Example:
        >>> data = grammar_sentences()
        >>> data.text
        '3,000 sentences · tags of 6 kinds'
    """
    drawn = _different()
    inputs, targets = np.array(list(drawn)), np.array([" ".join(tags) for _, tags, _ in drawn.values()])
    return Dataset(
        name=name,
        kind="tokens",
        inputs=inputs,
        targets=targets,
        target_kind="tags",
        target_name=None,
        feature_names=(),
        classes=tuple(sorted(_WORDS)),
        part=None,
        notes=(f"{NOTE}a tag for each word",),
        origin=f"grammar:{name}",
        fingerprint=fingerprint(inputs, targets),
    )


def grammar_trees(name: str = "grammar-trees") -> Dataset:
    """Return the sentences of `grammar_sentences` and the tree by which the grammar made each.

    What stands behind a verb and its object may belong to either: not every tree can be known.

    Example:
        >>> data = grammar_trees()
        >>> data.text, str(data.targets[0])
        ('3,000 sentences · trees of 4 kinds of constituents', '(S (NP the duck) (VP duck))')
    """
    return tree_data(
        [(words, spans) for words, _, spans in _different().values()], name=name, origin=f"grammar:{name}"
    )
