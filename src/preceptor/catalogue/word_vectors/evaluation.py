"""How good word vectors are: analogies, and similarity as people judge it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from preceptor.catalogue._registry import registered
from preceptor.catalogue.word_vectors.vectors import WordVectors
from preceptor.errors import DataError

__all__ = ["AnalogyScore", "SimilarityScore", "analogy_accuracy", "word_similarity"]

_KIND = "word-embedding"


@dataclass(frozen=True)
class AnalogyScore:
    """How many analogies were answered rightly.

    Attributes:
        accuracy: their share of those whose words are all known.
        asked: how many those are.
        unknown: how many were not asked because a word has no vector.
        sections: accuracy by section, where there are any.
    """

    accuracy: float
    asked: int
    unknown: int
    sections: dict[str, float]

    def __str__(self) -> str:
        """Return one line."""
        return f"analogies {self.accuracy:.3f} of {self.asked:,} ({self.unknown:,} with unknown words)"


@dataclass(frozen=True)
class SimilarityScore:
    """How cosines go with what people say.

    Attributes:
        spearman: the rank correlation.
        pairs: how many pairs were compared.
        unknown: how many were left out because a word has no vector.
    """

    spearman: float
    pairs: int
    unknown: int

    def __str__(self) -> str:
        """Return one line."""
        return f"Spearman {self.spearman:.3f} on {self.pairs:,} pairs ({self.unknown:,} with unknown words)"


@registered(
    kind=_KIND,
    name="analogies",
    aliases=("analogy-accuracy", "3cosadd", "word-analogies"),
    formula="'a is to b as c is to d' is right if argmax_w cos(w, b − a + c) = d over all words but a, b, "
    "c; vectors at "
    "length 1 (3CosAdd)",
    shapes="word vectors, questions of four words; a line ': name' begins a section → accuracy, counts, "
    "sections",
    when="to compare vectors trained on one text",
    pitfalls="questions with unknown words are not asked: compare the number asked, too. Without leaving "
    "out a, b and c "
    "the answer is mostly b or c",
    source="Mikolov, Yih and Zweig, Linguistic Regularities in Continuous Space Word Representations, 2013",
    differs="gensim's evaluate_word_analogies with all words as candidates",
    example="""
    >>> from preceptor.catalogue.word_vectors import WordVectors
    >>> square = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [-1.0, 1.0]])
    >>> square = WordVectors(('king', 'queen', 'man', 'woman'), square)
    >>> get('analogies', square, ['man woman king queen', 'man woman duke duchess']).accuracy
    1.0
    """,
)
def analogy_accuracy(vectors: WordVectors, questions: Iterable[str]) -> AnalogyScore:
    """Accuracy on analogies: a is to b as c is to which word."""
    section, rows, sections, unknown = "", [], [], 0
    for line in questions:
        words = line.lower().split()
        if line.startswith(":"):
            section = line[1:].strip()
        elif len(words) != 4:
            if words:
                raise DataError("an analogy has four words", expected="a b c d", received=line.strip()[:60])
        elif all(word in vectors for word in words):
            rows.append([vectors.index[word] for word in words])
            sections.append(section)
        else:
            unknown += 1
    if not rows:
        raise DataError(
            "no analogy can be asked", expected="questions of known words", received=f"{unknown} with unknown"
        )
    asked = torch.tensor(rows)
    right = (vectors.analogies(asked) == asked[:, 3]).tolist()
    by_section: dict[str, list[bool]] = {}
    for name, one in zip(sections, right, strict=True):
        by_section.setdefault(name, []).append(one)
    shares = {name: sum(found) / len(found) for name, found in by_section.items() if name}
    return AnalogyScore(sum(right) / len(right), len(right), unknown, shares)


@registered(
    kind=_KIND,
    name="word-similarity",
    aliases=("wordsim", "similarity-correlation"),
    formula="Spearman's rank correlation of cos(a, b) with the human scores of the pairs",
    shapes="word vectors, triples (word, word, score) → correlation, counts",
    when="to compare vectors trained on one text: WordSim-353 for relatedness, SimLex-999 for similarity",
    pitfalls="pairs with unknown words are left out; with a few hundred pairs differences below 0.05 are "
    "chance",
    source="Finkelstein et al., Placing Search in Context, 2002; Spearman, 1904",
    differs="gensim's evaluate_word_pairs, which counts unknown words as similarity 0 on request",
    example="""
    >>> from preceptor.catalogue.word_vectors import WordVectors
    >>> line = WordVectors(('a', 'b', 'c'), torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]]))
    >>> get('word-similarity', line, [('a', 'b', 9.0), ('a', 'c', 1.0), ('b', 'c', 2.0)]).spearman
    1.0
    """,
)
def word_similarity(vectors: WordVectors, pairs: Iterable[Sequence[str | float]]) -> SimilarityScore:
    """Correlation of cosines with people's judgement of how alike or related words are."""
    from scipy.stats import spearmanr

    cosines, scores, unknown = [], [], 0
    for first, second, score in pairs:
        a, b = str(first).lower(), str(second).lower()
        if a in vectors and b in vectors:
            cosines.append(vectors.similarity(a, b))
            scores.append(float(score))
        else:
            unknown += 1
    if len(scores) < 2:
        raise DataError("too few pairs have vectors", expected="at least two", received=str(len(scores)))
    return SimilarityScore(round(float(spearmanr(cosines, scores)[0]), 6), len(scores), unknown)
