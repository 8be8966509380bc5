"""What the checks of texts look at: sides and words, fingerprints, and how often texts coincide by chance."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array, Dataset

__all__ = ["TEXTS", "Side", "coincidence", "is_long", "sides_of", "text_hashes", "words_of"]

TEXTS = ("lines", "pairs", "tokens")
"""The kinds of data that are texts."""

_WORD = re.compile(r"\w+|[^\w\s]")
_LONG_WORDS, _LONG_CHARACTERS = 5, 25
_ASKED = 4000  # texts whose chance is worked out
_BEGIN, _END = "\x02", "\x03"


class Side(NamedTuple):
    """The texts of one side.

    Attributes:
        name: ``"lines"``, ``"sentences"``, ``"sources"`` or ``"targets"``.
        texts: one for each row that was asked for.
    """

    name: str
    texts: list[str]


def sides_of(dataset: Dataset, rows: Array) -> tuple[Side, ...]:
    """Return the texts of those rows: one side, or of pairs two; none of data that are no texts."""
    if dataset.kind not in TEXTS:
        return ()
    inputs = [str(text) for text in np.asarray(dataset.inputs)[rows].tolist()]
    if dataset.kind != "pairs":
        return (Side("lines" if dataset.kind == "lines" else "sentences", inputs),)
    return Side("sources", inputs), Side("targets", [str(text) for text in dataset.targets[rows].tolist()])


def words_of(text: str) -> list[str]:
    """Return words and single punctuation marks."""
    return _WORD.findall(text)


def is_long(text: str) -> bool:
    """Whether a text says enough to be known again: greetings and names recur by nature.

    Example:
        >>> is_long("Yes, my lord."), is_long("Two dogs run over the wet grass.")
        (False, True)
    """
    spaced = text.isascii() and len(text) < 2 * _LONG_CHARACTERS  # others may be written without spaces
    return len(text) >= _LONG_CHARACTERS and (not spaced or len(text.split()) >= _LONG_WORDS)


def text_hashes(sides: Sequence[Side]) -> NDArray[np.uint64]:
    """Return a fingerprint of each row's texts; those too short to be known again are all different."""
    found = np.empty(len(sides[0].texts), dtype=np.uint64)
    rows = zip(*(side.texts for side in sides), strict=True)
    for i, texts in enumerate(rows):
        key = texts if is_long(texts[0]) else (i,)
        found[i] = hash(key) & 0xFFFFFFFFFFFFFFFF
    return found


def coincidence(texts: Iterable[str]) -> float:
    """Return the chance that two texts are equal and long, were each word drawn by the one before it alone.

    Σ_x P(x)², estimated by the mean of P over distinct texts, with P(x) = Π p(w_t | w_(t−1)) counted over the
    other texts, and smoothed by p(w_t). Texts of a small grammar coincide often, those of people hardly.

    Example:
        >>> a, b, c = "abcdef", "uvwxyz", "klmnop"
        >>> people = [f"the {i} saw some {j} near my {k}" for i in a for j in b for k in c]
        >>> 0.5 / 216 < coincidence(people) < 2 / 216
        True
    """
    every = [text for text in texts if text.strip()]
    distinct = list(dict.fromkeys(every))
    chains = [[_BEGIN, *words_of(text), _END] for text in distinct]
    pairs = Counter(pair for chain in chains for pair in pairwise(chain))
    before = Counter(word for chain in chains for word in chain[:-1])
    total = sum(before.values())
    asked = [i for i in range(len(distinct)) if is_long(distinct[i])]
    asked = asked[:: max(1, len(asked) // _ASKED)]
    if not asked:
        return 0.0
    found = [math.exp(_log_probability(chains[i], pairs, before, total)) for i in asked]
    long = sum(map(is_long, every)) / len(every)
    return long * long * sum(found) / len(found)


def _log_probability(
    chain: list[str], pairs: Counter[tuple[str, str]], before: Counter[str], total: int
) -> float:
    found = 0.0
    for pair in pairwise(chain):
        alone = max(before[pair[1]] - 1, 0.5) / total
        found += math.log((pairs[pair] - 1 + alone) / before[pair[0]])  # its own occurrence is left out
    return found
