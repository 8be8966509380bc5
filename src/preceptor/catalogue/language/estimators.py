"""n-gram models by relative frequency, and with added counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.language._counts import Level, NgramCounts
from preceptor.catalogue.language._model import Floats, NgramModel, Table
from preceptor.catalogue.language._tables import behind, interpolated, per_context

__all__ = ["SHAPES", "additive_smoothing", "n_gram"]

SHAPES = (
    "tokens (T,) of ids below size; end: the id behind which a new sentence begins → a model with log P (T,)"
)


@registered(
    kind="language-model",
    name="n-gram",
    aliases=("ngram", "markov", "memoryless-model", "trigram", "maximum-likelihood-n-gram"),
    formula="P(w_t | w_{t−n+1} … w_{t−1}) = count(w_{t−n+1} … w_t) / count(w_{t−n+1} … w_{t−1}), n = order; "
    "what "
    "stands before the n − 1 last words is forgotten (Markov)",
    shapes=SHAPES,
    when="the plainest language model; the yardstick for all others",
    pitfalls="an n-gram that the text does not have is impossible: the perplexity of new text is infinite. "
    "Behind a "
    "context that was never seen the shorter one decides",
    source="Markov, 1913; Shannon, A Mathematical Theory of Communication, 1948",
    differs="nltk's MLE gives 0 to every word behind a context that was never seen, so that nothing sums to "
    "1 there",
    example="""
    >>> the, fat, cat, dog = range(4)
    >>> model = get('n-gram', [the, fat, cat, the, fat, dog, the, fat, cat], 4)
    >>> round(model.probability(cat, [the, fat]), 4)
    0.6667
    """,
)
def n_gram(tokens: Any, size: int, order: int = 3, end: int | None = None) -> NgramModel:
    """n-gram model: relative frequencies of words behind the n − 1 words before."""
    counts = NgramCounts.of(tokens, size, order, end)

    def part(k: int, level: Level) -> tuple[Floats, Floats]:
        share, totals = behind(counts, k, level.counts)
        return share, np.where(totals > 0, 0.0, 1.0)

    return NgramModel(counts, interpolated(counts, part))


@registered(
    kind="language-model",
    name="additive-smoothing",
    aliases=("laplace", "laplace-smoothing", "add-k", "add-one", "imaginary-counts", "lidstone"),
    formula="P(w | context) = (count(context w) + k) / (count(context) + k · size)",
    shapes=SHAPES,
    when="a first cure for zero probabilities; k = 1 is Laplace's rule of succession",
    pitfalls="with a large vocabulary nearly all probability goes to what was never seen; every word that "
    "was not is as "
    "likely as every other. Interpolation and Kneser–Ney are far better",
    source="Laplace, 1814; Lidstone, 1920; Chen and Goodman, 1999",
    differs="nltk's Lidstone, with the same k",
    example="""
    >>> model = get('add-k', [0, 1, 0, 1, 0, 2], 4, order=2)
    >>> model.distribution([0])
    array([0.14285714, 0.42857143, 0.28571429, 0.14285714])
    """,
)
def additive_smoothing(
    tokens: Any, size: int, order: int = 3, k: float = 1.0, end: int | None = None
) -> NgramModel:
    """Additive smoothing: every n-gram is imagined to have occurred k times more."""
    check_number("additive-smoothing", "k", k, 1e-12)
    counts = NgramCounts.of(tokens, size, order, end)
    level = counts.levels[-1]
    totals = per_context(counts, order, level.counts)
    p = np.where(level.predicted, (level.counts + k) / (totals + k * size)[level.contexts], 0.0)
    table = Table(p, k * size / (totals + k * size))
    return NgramModel(counts, (*[None] * (order - 1), table))
