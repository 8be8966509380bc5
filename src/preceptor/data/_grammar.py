"""Sentences of a small grammar with their parts of speech: words that are nouns here and verbs there."""

from __future__ import annotations

import numpy as np

from preceptor.data._dataset import Dataset, fingerprint
from preceptor.data._targets import NOTE

__all__ = ["grammar_sentences", "sentence"]

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
    tags = _grown("S", draw, 0)
    return [str(draw.choice(_WORDS[tag])) for tag in tags], tags


def _grown(symbol: str, draw: np.random.Generator, depth: int) -> list[str]:
    if symbol in _WORDS:
        return [symbol]
    rules = _RULES[symbol]
    chances = [chance for chance, _ in rules]
    at = 0 if depth > _DEEPEST else int(draw.choice(len(rules), p=chances))
    return [tag for part in rules[at][1] for tag in _grown(part, draw, depth + 1)]


def grammar_sentences(name: str = "grammar-sentences") -> Dataset:
    """Return 3,000 different sentences of a small grammar as words, and a part of speech for each.

    Most words have two or three parts of speech: what a word is follows from those around it.

    Example:
        >>> data = grammar_sentences()
        >>> data.text
        '3,000 sentences · tags of 6 kinds'
    """
    draw, drawn = np.random.default_rng(_SEED), dict[str, str]()
    while len(drawn) < _COUNT:
        words, tags = sentence(draw)
        drawn.setdefault(" ".join(words), " ".join(tags))
    inputs, targets = np.array(list(drawn)), np.array(list(drawn.values()))
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
