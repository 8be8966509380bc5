"""n-gram models that combine several orders: interpolation, backing off, Kneser–Ney."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.language._counts import Ints, Level, NgramCounts
from preceptor.catalogue.language._model import Floats, NgramModel, Table
from preceptor.catalogue.language._tables import (
    behind,
    counts_of_counts,
    interpolated,
    lower,
    per_context,
)
from preceptor.catalogue.language.estimators import SHAPES

__all__ = ["interpolation", "katz", "kneser_ney", "stupid_back_off"]

_CHEN = "Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1999"
_LARGEST = 5  # counts above are trusted: Katz's own choice


@registered(
    kind="language-model",
    name="linear-interpolation",
    aliases=("interp", "jelinek-mercer", "interpolated-n-gram", "n-gram-mixture", "deleted-interpolation"),
    formula="P_k(w | context) = λ_k count(context w) / count(context) + (1 − λ_k) P_{k−1}(w | shorter "
    "context), "
    "P_0 = 1 / size; λ by expectation–maximisation on held_out, one for each order and each of `buckets` "
    "sizes of "
    "count(context) (1, 2–3, 4–7, …)",
    shapes=SHAPES.replace("tokens (T,)", "tokens (T,) and held_out (H,)"),
    when="several orders at once: the long ones where they were seen often, the short ones elsewhere",
    pitfalls="held_out must be text that was not counted: on counted text all weight goes to the longest "
    "order",
    source="Jelinek and Mercer, Interpolated Estimation of Markov Source Parameters, 1980; " + _CHEN,
    example="""
    >>> text = [0, 1, 2, 0, 1, 3, 0, 2, 1, 0]
    >>> model = get('jelinek-mercer', text, 4, [0, 1, 0, 2, 3], order=2)
    >>> round(float(model.distribution([3]).sum()), 6), model.perplexity([0, 1, 0, 2, 3]) < 4
    (1.0, True)
    """,
)
def interpolation(
    tokens: Any,
    size: int,
    held_out: Any,
    order: int = 3,
    buckets: int = 10,
    iterations: int = 30,
    end: int | None = None,
) -> NgramModel:
    """Linear interpolation of n-grams of several orders, with weights fitted on held-out text."""
    check_count("linear-interpolation", "buckets", buckets)
    check_count("linear-interpolation", "iterations", iterations)
    counts = NgramCounts.of(tokens, size, order, end)
    shares, weights = [], []
    for k, level in enumerate(counts.levels, 1):
        share, totals = behind(counts, k, level.counts)
        shares.append(share)
        weights.append(
            np.where(totals > 0, np.log2(totals.clip(1)).astype(np.int64).clip(max=buckets - 1), -1)
        )
    mixing = _fit_mixing(counts, held_out, shares, weights, (buckets, iterations))

    def part(k: int, _: Level) -> tuple[Floats, Floats]:
        bucket = weights[k - 1]
        own = np.where(bucket >= 0, mixing[k - 1][bucket], 0.0)
        return own[counts.levels[k - 1].contexts] * shares[k - 1], 1 - own

    return NgramModel(counts, interpolated(counts, part))


def _fit_mixing(
    counts: NgramCounts, held_out: Any, shares: list[Floats], buckets: list[Ints], sizes: tuple[int, int]
) -> Floats:
    """Return λ, (order, buckets), that makes the held-out text most probable."""
    rows, contexts = counts.rows(held_out)
    own = [np.where(r >= 0, share[r], 0.0) for r, share in zip(rows, shares, strict=True)]
    which = [np.where(c >= 0, bucket[c], -1) for c, bucket in zip(contexts, buckets, strict=True)]
    mixing: Floats = np.full((counts.order, sizes[0]), 0.5)
    for _ in range(sizes[1]):
        given = [np.where(b >= 0, m[b], 0.0) for b, m in zip(which, mixing, strict=True)]
        p = [np.full(len(rows[0]), 1 / counts.size)]
        for weight, share in zip(given, own, strict=True):
            p.append(weight * share + (1 - weight) * p[-1])
        reach = np.ones(len(rows[0]))
        for k in reversed(range(counts.order)):
            stop = reach * given[k] * own[k] / p[k + 1]
            seen = which[k] >= 0
            reached = np.bincount(which[k][seen], weights=reach[seen], minlength=sizes[0])
            stopped = np.bincount(which[k][seen], weights=stop[seen], minlength=sizes[0])
            np.divide(stopped, reached, out=mixing[k], where=reached > 0)
            reach = reach - stop
    return mixing


@registered(
    kind="language-model",
    name="kneser-ney",
    aliases=("interpolated-kneser-ney", "modified-kneser-ney"),
    formula="P_k(w | context) = max(c(context w) − D(c), 0) / c(context ·) + γ(context) P_{k−1}(w | shorter "
    "context), "
    "P_0 = 1 / size; below the highest order c is the number of different words before; D_1, D_2, D_3+ by "
    "n_1 … n_4, the numbers of n-grams with that count; modified=False: one D = n_1 / (n_1 + 2 n_2)",
    shapes=SHAPES,
    when="the best of the n-gram models that only count; order 5 for words",
    pitfalls="lower orders are not models of their own: they say how many contexts a word continues, so "
    "that 'Francisco' "
    "is rare but behind 'San'",
    source="Kneser and Ney, Improved Backing-Off for M-Gram Language Modeling, 1995; " + _CHEN,
    differs="KenLM and SRILM's -interpolate -kndiscount: the same discounts, and KenLM's 0.5, 1, 1.5 where "
    "a text is too "
    "small to tell",
    example="""
    >>> text = [0, 1, 2, 0, 1, 3, 0, 2, 1, 0]
    >>> model = get('kneser-ney', text, 4, order=3)
    >>> round(float(model.distribution([0, 1]).sum()), 6), bool(model.distribution([0, 1]).min() > 0)
    (1.0, True)
    """,
)
def kneser_ney(
    tokens: Any, size: int, order: int = 5, modified: bool = True, end: int | None = None
) -> NgramModel:
    """Kneser–Ney smoothing, interpolated, with three discounts an order."""
    counts = NgramCounts.of(tokens, size, order, end)

    def part(k: int, level: Level) -> tuple[Floats, Floats]:
        numbers = _continuations(counts, k)
        discounts = _discounts(numbers[level.predicted], modified)
        taken = discounts[np.minimum(numbers, 3).astype(np.int64)]
        totals = per_context(counts, k, numbers)
        whole = np.where(totals > 0, totals, 1.0)
        given = per_context(counts, k, taken) / whole
        return (numbers - taken) / whole[level.contexts], np.where(totals > 0, given, 1.0)

    return NgramModel(counts, interpolated(counts, part))


def _continuations(counts: NgramCounts, k: int) -> Floats:
    """Return the counts of order k that Kneser–Ney takes: below the highest, the number of words before."""
    level = counts.levels[k - 1]
    if k == counts.order:
        return level.counts.astype(np.float64)
    above = counts.levels[k]
    before = np.bincount(above.suffixes[above.predicted], minlength=len(level.keys))
    # Behind the begin of a sentence there is but one word before, the begin symbol: there the counts tell.
    numbers: Floats = np.where(level.begins, level.counts, before).astype(np.float64)
    return numbers


def _discounts(numbers: NDArray[np.float64], modified: bool) -> Floats:
    """Return what is taken from counts of 0, 1, 2 and 3 or more."""
    _, n1, n2, n3, n4 = counts_of_counts(numbers, 4)
    if not modified:
        d = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
        return np.array([0.0, d, d, d])
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n1 / (n1 + 2 * n2)
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return found if bool((found >= 0).all()) else np.array([0.0, 0.5, 1.0, 1.5])


@registered(
    kind="language-model",
    name="katz-back-off",
    aliases=("katz", "back-off", "backing-off", "good-turing"),
    formula="P(w | context) = d_c c(context w) / c(context) where that was seen, else α(context) P(w | "
    "shorter context), "
    "α such that all sums to 1; d_c by Good–Turing for c ≤ 5, (c − D) / c with D = n_1 / (n_1 + 2 n_2) "
    "where a text is "
    "too small for that",
    shapes=SHAPES,
    when="the longest context that was seen is to decide alone",
    pitfalls="a word that was seen once behind a context gets no help from shorter ones: interpolation is "
    "better for "
    "rare n-grams",
    source="Katz, Estimation of Probabilities from Sparse Data, 1987; " + _CHEN,
    example="""
    >>> model = get('katz', [0, 1, 2, 0, 1, 3, 0, 2, 1, 0], 5, order=2)
    >>> round(float(model.distribution([0]).sum()), 6), bool(model.distribution([0]).min() > 0)
    (1.0, True)
    """,
)
def katz(tokens: Any, size: int, order: int = 3, end: int | None = None) -> NgramModel:
    """Katz's backing off: discounted frequencies where there are any, else the shorter context."""
    counts = NgramCounts.of(tokens, size, order, end)
    tables: list[Table] = []
    for k, level in enumerate(counts.levels, 1):
        share, totals = behind(counts, k, level.counts)
        p = share * _kept(level.counts)
        shorter = np.where(level.predicted, lower(counts, k, tables[-1] if tables else None), 0.0)
        seen = level.counts > 0
        left = 1 - per_context(counts, k, p)
        # Where every count was trusted nothing is left for what was not seen: one imaginary count is.
        p = np.where((left < 1e-9)[level.contexts], share * (totals / (totals + 1))[level.contexts], p)
        left = 1 - per_context(counts, k, p)
        room = 1 - per_context(counts, k, np.where(seen, shorter, 0.0))
        full = room < 1e-9  # every word was seen here: there is nobody to give to
        p = np.where(full[level.contexts] & seen, share, p)
        weights = np.where(full, 0.0, np.where(totals > 0, left / np.where(full, 1.0, room), 1.0))
        p = np.where(seen | ~level.predicted, p, weights[level.contexts] * shorter)
        tables.append(Table(p, weights))
    return NgramModel(counts, tuple(tables))


def _kept(numbers: Ints) -> Floats:
    """Return the share d_c of each count that is kept."""
    n = counts_of_counts(numbers, _LARGEST + 1)
    c = np.arange(1, _LARGEST + 1)
    kept: Floats = np.ones(_LARGEST + 2)
    if bool((n[1:] > 0).all()):
        edge = (_LARGEST + 1) * n[_LARGEST + 1] / n[1]
        kept[1:-1] = ((c + 1) * n[2:] / (c * n[1:-1]) - edge) / (1 - edge) if edge < 1 else -1.0
    if not bool(((kept[1:-1] > 0) & (kept[1:-1] < 1)).all()):
        discount = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
        return np.where(numbers > 0, 1 - discount / np.maximum(numbers, 1), 0.0)
    return kept[np.minimum(numbers, _LARGEST + 1)]


@registered(
    kind="language-model",
    name="stupid-back-off",
    aliases=("stupid-backoff",),
    formula="S(w | context) = count(context w) / count(context) where that was seen, else factor · S(w | "
    "shorter "
    "context), in the end factor / size",
    shapes=SHAPES,
    when="very large texts, to rank candidates: nothing has to be normalised",
    pitfalls="the scores do not sum to 1: its perplexity cannot be compared with that of a model",
    source="Brants et al., Large Language Models in Machine Translation, 2007",
    example=">>> get('stupid-back-off', [0, 1, 0, 1, 0, 2], 3, order=2).distribution([0])\n"
    "array([0.2       , 0.66666667, 0.33333333])",
)
def stupid_back_off(
    tokens: Any, size: int, order: int = 3, factor: float = 0.4, end: int | None = None
) -> NgramModel:
    """Stupid backing off: relative frequencies, with a fixed factor for each word of context dropped."""
    check_number("stupid-back-off", "factor", factor, 0.0, 1.0)
    counts = NgramCounts.of(tokens, size, order, end)
    tables: list[Table] = []
    for k, level in enumerate(counts.levels, 1):
        share, totals = behind(counts, k, level.counts)
        shorter = lower(counts, k, tables[-1] if tables else None)
        p = np.where(level.counts > 0, share, factor * shorter)
        tables.append(Table(np.where(level.predicted, p, 0.0), np.full(len(totals), factor)))
    return NgramModel(counts, tuple(tables), unseen=factor, normalized=False)
