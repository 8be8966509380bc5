"""How well a language model does, how much of a text it has never seen, and what localist features are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.language._counts import NgramCounts, as_ids
from preceptor.errors import ConfigError, DataError

__all__ = [
    "OutOfVocabulary",
    "bits_per_character",
    "localist",
    "out_of_vocabulary",
    "perplexity",
    "unseen_n_grams",
]

_KIND = "language-model"
_SHANNON = "Shannon, Prediction and Entropy of Printed English, 1951"


@registered(
    kind=_KIND,
    name="perplexity",
    aliases=("sent-prob", "sentence-perplexity"),
    formula="exp(−(1/T) Σ_t log P(w_t | w_1 … w_{t−1})) = P(s)^(−1/T)",
    shapes="log-probabilities in nats (T,) → a number of at least 1",
    when="language models of one vocabulary are compared",
    pitfalls="it depends on what counts as a word: models with other vocabularies, or other unknown words, "
    "cannot be "
    "compared; ends of sentences count as words",
    source="Jelinek et al., Perplexity: a Measure of the Difficulty of Speech Recognition Tasks, 1977",
    example=">>> round(get('perplexity', [-2.302585] * 7, kind='language-model'), 4)\n10.0",
)
def perplexity(log_probabilities: Any) -> float:
    """Perplexity: how many equally likely words a model wavers between."""
    mean = _mean(log_probabilities)
    return math.exp(-mean) if math.isfinite(mean) else math.inf


@registered(
    kind=_KIND,
    name="bits-per-character",
    aliases=("bpc", "bits-per-symbol"),
    formula="−Σ_t log₂ P(w_t | …) / characters; for words, characters is the length of the text that they "
    "stand for",
    shapes="log-probabilities in nats (T,), a number of characters → bits",
    when="models of characters, words and pieces are compared with each other",
    pitfalls="with words the blanks between them and the ends of lines are characters too",
    source=_SHANNON,
    example=">>> round(get('bits-per-character', [-0.6931472] * 8, kind='language-model'), 4)\n1.0",
)
def bits_per_character(log_probabilities: Any, characters: int | None = None) -> float:
    """Bits per character: the length of the shortest code, by the model's own probabilities."""
    logs = np.asarray(log_probabilities, dtype=np.float64)
    count = len(logs) if characters is None else check_count("bits-per-character", "characters", characters)
    return -_mean(logs) * len(logs) / math.log(2) / count


def _mean(log_probabilities: Any) -> float:
    logs = np.asarray(log_probabilities, dtype=np.float64)
    if logs.ndim != 1 or not len(logs) or np.isnan(logs).any() or float(logs.max()) > 1e-6:
        raise DataError(
            "these are no log-probabilities",
            expected="one row of numbers of at most 0",
            received=f"shape {logs.shape}" + (f", up to {logs.max():g}" if logs.size else ""),
            hint="log_probabilities of a model, in nats",
        )
    return float(logs.mean())


@registered(
    kind=_KIND,
    name="unseen-n-grams",
    aliases=("shortctx", "shorter-context", "n-gram-sparsity"),
    formula="for n = 1 … order, the share of the n-grams of new text that the counted text does not have",
    shapes="tokens (T,), new_tokens (M,) → shares (order,)",
    when="choosing an order: where most n-grams are unseen, the shorter context must help",
    pitfalls="it rises with every order: a longer context is never seen more often than a shorter one",
    source="Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1999",
    example=">>> get('unseen-n-grams', [0, 1, 2, 0, 1], [0, 1, 0, 2], 3, order=3)\n[0.0, 0.5, 0.5]",
)
def unseen_n_grams(
    tokens: Any, new_tokens: Any, size: int, order: int = 5, end: int | None = None
) -> list[float]:
    """Share of new n-grams that were never seen, by order: why shorter contexts cure sparsity."""
    counts = NgramCounts.of(tokens, size, order, end)
    rows, _ = counts.rows(new_tokens)
    unseen = [row < 0 for row in rows]
    unseen[0] = counts.levels[0].counts[rows[0]] == 0
    return [round(float(missing.mean()), 6) for missing in unseen]


@registered(
    kind=_KIND,
    name="localist-representation",
    aliases=("localist", "one-hot-n-grams"),
    formula="n-gram i ↦ e_i: one axis for each different n-gram",
    shapes="tokens (T,) → a sparse matrix, (T − order + 1) × different n-grams",
    when="to see what n-grams share: nothing. 'the dog sits' says nothing about 'the cat sits'",
    pitfalls="different n-grams are orthogonal, however alike their words are; vectors of words are what "
    "shares",
    source="Hinton, McClelland and Rumelhart, Distributed Representations, 1986",
    differs="scikit-learn's OneHotEncoder, over n-grams",
    example=">>> m = get('localist', [0, 1, 0, 1, 2], order=2).toarray()\n>>> (m @ "
    "m.T).astype(int).tolist()\n"
    "[[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]",
)
def localist(tokens: Any, order: int = 1) -> csr_array:
    """Localist representation: each n-gram of a text as a vector of its own axis."""
    check_count("localist-representation", "order", order)
    ids = as_ids(tokens, int(np.max(tokens, initial=0)) + 1)
    if len(ids) < order:
        raise ConfigError(
            "the text is shorter than one n-gram", expected=f"at least {order} tokens", received=str(len(ids))
        )
    windows = np.lib.stride_tricks.sliding_window_view(ids, order)
    _, axis = np.unique(windows, axis=0, return_inverse=True)
    rows = np.arange(len(windows))
    return csr_array((np.ones(len(rows)), (rows, axis.reshape(-1))))


@dataclass(frozen=True)
class OutOfVocabulary:
    """What of a text a vocabulary does not have.

    Attributes:
        tokens: how many tokens the text has.
        unknown: how many of them are unknown.
        kinds: how many different unknown tokens there are.
        frequent: the most frequent of them, with their counts.
    """

    tokens: int
    unknown: int
    kinds: int
    frequent: tuple[tuple[str, int], ...]

    @property
    def rate(self) -> float:
        """The share of unknown tokens."""
        return self.unknown / self.tokens if self.tokens else 0.0

    def __str__(self) -> str:
        """Return one line: share, kinds, the most frequent ones."""
        shown = ", ".join(token for token, _ in self.frequent[:5])
        return f"{self.rate:.2%} of {self.tokens:,} tokens unknown ({self.kinds:,} different" + (
            f": {shown})" if shown else ")"
        )


@registered(
    kind=_KIND,
    name="out-of-vocabulary-rate",
    aliases=("oov", "oov-rate", "out-of-vocabulary-handling", "unknown-words"),
    formula="tokens that are not in the vocabulary / tokens",
    shapes="tokens (strings), a vocabulary → a record: rate, how many different ones, the most frequent of "
    "them",
    when="before a model of words is trusted on new text",
    pitfalls="a small vocabulary lowers the perplexity, for one unknown word is easy to predict; characters "
    "and pieces "
    "of words have no unknown words at all",
    source="Jurafsky and Martin, Speech and Language Processing, 2009, chapter 4",
    example=">>> str(get('oov', 'the cat and the dog'.split(), {'the', 'cat'}))\n"
    "'40.00% of 5 tokens unknown (2 different: and, dog)'",
)
def out_of_vocabulary(tokens: Iterable[str], vocabulary: Collection[str]) -> OutOfVocabulary:
    """Out-of-vocabulary rate: the share of a text's tokens that a vocabulary does not have."""
    total, missing = 0, Counter[str]()
    for token in tokens:
        total += 1
        if token not in vocabulary:
            missing[token] += 1
    return OutOfVocabulary(total, missing.total(), len(missing), tuple(missing.most_common(10)))
