"""Rules: whether what is evaluated on was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from preceptor.diagnosis._data_feeds import Feed, distinct_samples, feeds, space_bits
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_LEAST = 8
_PART, _CLEAN = 0.1, 0.02
_BITS, _WORDS, _LONG = 64.0, 0.5, 16
_WHOLE = 0.8
_CHANCE, _HASHED = 1e-3, 128


@dataclass(frozen=True)
class _Shared:
    """Samples that an evaluation shares with training.

    Attributes:
        both, evaluated, trained: different samples in both, in the evaluation, in training, at looks.
        share: of the evaluation's samples those that training uses, at looks or between them.
        whole: samples of one evaluation pass ÷ those of the training set.
    """

    feed: Feed
    both: int
    evaluated: int
    trained: int
    share: float
    whole: float


@rule("train-test-leakage")
def leakage(case: Case) -> Iterator[Finding]:
    """Name evaluations on samples that the same model is trained on.

    m = different samples (fingerprints of 64 bits) of an evaluation, b = those of them that were in training
    batches at looks; looks have shown a share c = n/N of the training samples (n = different ones, N = how
    many there are, from how often the same came again), so that s = b / (m c), at most 1, of the evaluation
    is trained on. Named for b ≥ 8 and s ≥ 0.1. An evaluation of the training set itself, to see how well
    that is fitted, is no leak: of at least 0.8 N samples, from the loader that is trained from, or of
    nothing else while another evaluation is clean. Samples of under 64 bits (codes, switches) are equal by
    chance: they count only where samples within a training batch are not equal as often, by a Poisson test
    (P(X ≤ w) < 0.001, w = pairs of equal samples within batches, of mean b/(m n) for each pair); of tokens
    16 must be equal, and half of the evaluation. Only calls in evaluation mode, or of
    models with an evaluation loss, are judged. Kaufman, Rosset, Perlich & Stitelman, Leakage in Data Mining
    (2012).
    """
    trained = {feed.model: feed for feed in feeds(case, "train")}
    found = [
        shared
        for feed in feeds(case, "evaluation")
        if feed.model in trained and _evaluates(case, feed)
        if (shared := _shared(case, trained[feed.model], feed)) is not None
    ]
    clean = any(one.share < _CLEAN and one.evaluated >= _LEAST for one in found)
    for one in found:
        train = trained[one.feed.model]
        if one.both < _LEAST or one.share < _PART or not _rich(case, train, one):
            continue
        if one.whole >= _WHOLE or _same_loader(train, one.feed) or (clean and one.share > 0.5):
            continue
        yield Finding(
            "train-test-leakage",
            "warning",
            f"{one.both} of {one.evaluated} evaluation samples were in training batches that were looked at:"
            f" about {one.share:.0%} are trained on.",
            {
                "evaluation samples": one.evaluated,
                "of them in training batches": one.both,
                "different training samples looked at": one.trained,
                "share of the evaluation that is trained on": float(f"{one.share:.2g}"),
            },
            exact=True,
            where=one.feed.line,
            effect="the evaluation measures what was learned by heart, and says little of new data",
        )
        return


def _shared(case: Case, train: Feed, feed: Feed) -> _Shared | None:
    samples = case.record.samples
    if train.key not in samples.keys or feed.key not in samples.keys or train.shape != feed.shape:
        return None
    both, evaluated, shown = samples.overlap(feed.key, train.key)
    held = distinct_samples(case, train.key)
    covered = min(1.0, shown / held) if held > 0 else 0.0  # NaN and infinity: next to nothing of it was shown
    share = min(1.0, both / (evaluated * covered)) if evaluated and covered > 0 else float(both > 0)
    size = held if math.isfinite(held) else math.inf
    return _Shared(feed, both, evaluated, shown, share, _pass_size(case, feed) / size if size > 0 else 0.0)


def _pass_size(case: Case, feed: Feed) -> int:
    """Samples of one pass of an evaluation, as far as that is known."""
    label = feed.loader.partition(" (")[0]
    facts = case.facts.get("evaluations", {})
    batches = [
        int(known.get("batches", 1))
        for subject, known in facts.items()
        if (label and subject.endswith(f" {label}")) or subject.startswith(f"evaluation:{feed.line}")
    ]
    return feed.batch * max(batches, default=1)


def _evaluates(case: Case, feed: Feed) -> bool:
    """Whether the calls are an evaluation and not a policy that acts, or a target that is made."""
    return feed.batch > 1 and (not feed.training or bool(case.evaluations))


def _same_loader(train: Feed, feed: Feed) -> bool:
    return bool(feed.loader) and feed.loader == train.loader and feed.batch <= train.batch


def _rich(case: Case, train: Feed, one: _Shared) -> bool:
    """Whether equal samples are no chance."""
    if train.floating or train.dtype == "uint8":
        return space_bits(case) >= _BITS or _rarer_within(case, train, one)
    return one.share >= _WORDS and math.prod(train.shape) >= _LONG


def _rarer_within(case: Case, train: Feed, one: _Shared) -> bool:
    """Whether two samples of a training batch are equal more rarely than one of each phase."""
    pairs: Any = case.facts.get("pairs")
    batch = min(train.batch, _HASHED)
    if not isinstance(pairs, dict) or batch < 2 or not one.evaluated or not one.trained:
        return False
    expected = one.both / (one.evaluated * one.trained) * int(pairs.get("rows", 0)) * (batch - 1) / 2
    equal = int(pairs.get("within", 0))
    if expected > 500 or equal > 500:
        return equal < expected - 5 * math.sqrt(expected)
    tail = sum(math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(equal + 1))
    return tail < _CHANCE
