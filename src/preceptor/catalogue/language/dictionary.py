"""Translation word by word: a dictionary from pairs of sentences, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["word_by_word"]


@registered(
    kind="language-model",
    name="word-by-word-translation",
    aliases=("w-baseline", "dictionary-translation", "word-by-word"),
    formula="t(s) = argmax_t 2 n(s, t) / (n(s) + n(t)): of the words of the other language the one with the "
    "largest Dice coefficient, n the sentences, or pairs of them, that have a word; a sentence becomes "
    "t(s_1) t(s_2) …",
    shapes="N rows of source ids, N rows of target ids → the target id of each source id, −1 for those that "
    "never occurred",
    when="what a network that translates is compared with",
    pitfalls="by construction it keeps order and length, and gives a word one meaning; words that nearly "
    "every sentence has are translated by each other",
    source="Smadja, McKeown and Hatzivassiloglou, Translating Collocations for Bilingual Lexicons, 1996",
    example=">>> get('word-by-word', [[0, 1], [0, 2], [1]], [[5, 3], [4, 3], [5]])\narray([3, 5, 4])",
)
def word_by_word(
    sources: Sequence[Iterable[int]], targets: Sequence[Iterable[int]], hidden: tuple[int, ...] = ()
) -> NDArray[np.int64]:
    """Dictionary of the words that most often stand in paired sentences; ``hidden`` ones are left out."""
    if len(sources) != len(targets) or not len(sources):
        raise DataError(
            "there are no pairs",
            expected="as many sources as targets, at least one",
            received=f"{len(sources)} sources, {len(targets)} targets",
        )
    x, y = (_present(rows, hidden) for rows in (sources, targets))
    found = (x.T @ y).tocoo()
    source, target = found.row, found.col
    alone = [np.asarray(side.sum(0)).reshape(-1) for side in (x, y)]
    dice = 2 * found.data / (alone[0][source] + alone[1][target])
    order = np.lexsort((-target, dice, source))  # the last of each word is its best; of equal ones the first
    best = np.full(x.shape[1], -1, dtype=np.int64)
    best[source[order]] = target[order]
    return best


def _present(rows: Sequence[Iterable[int]], hidden: tuple[int, ...]) -> csr_array:
    """Return which sentence has which word, sentences × words."""
    words = [np.setdiff1d(np.asarray(list(row), dtype=np.int64), hidden) for row in rows]
    places = np.repeat(np.arange(len(words)), [len(row) for row in words])
    flat = np.concatenate(words).astype(np.int64)
    size = int(max((max(row, default=0) for row in rows), default=0)) + 1
    return csr_array((np.ones(len(flat)), (places, flat)), shape=(len(words), size))
