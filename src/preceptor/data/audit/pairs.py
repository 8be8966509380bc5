"""Checks of pairs of sentences, and of tags: untranslated, out of step, exchanged, ambiguous, rare."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from preceptor.data.audit._remark import Check, Remark, listed, share
from preceptor.data.audit._subject import Subject
from preceptor.data.audit._texts import is_long, words_of

__all__ = ["CHECKS"]

_PAIRS, _TOKENS = ("pairs",), ("tokens",)
_SOME = 0.01  # of the pairs: what is wrong with fewer is drowned by the others
_FAR = 6.0  # robust deviations of the logarithm of the ratio of lengths
_TIMES = 3.0  # longer than usual, beside the other side, at least
_WORDS = 8  # of the longer side: short texts have any ratio
_FEW = 5  # occurrences of a tag
_LEAST = 50  # pairs from which on the words of a language can be told


def untranslated(subject: Subject) -> Iterator[Remark]:
    """Pairs whose two sides are one text: what is learnt from them is to copy.

    Khayrallah and Koehn, On the Impact of Various Types of Noise on Neural Machine Translation, 2018.
    """
    sources, targets = subject.sides
    same = [
        i
        for i, (one, other) in enumerate(zip(sources.texts, targets.texts, strict=True))
        if is_long(one) and one.strip().casefold() == other.strip().casefold()
    ]
    if same:
        n = len(sources.texts)
        yield Remark(
            "warning" if len(same) >= _SOME * n else "info",
            f"{len(same):,} of {n:,} pairs have one text on both sides ({share(len(same) / n)}): "
            f"{sources.texts[same[0]][:60]!r}",
            "drop them: a network learns from few of them to copy in place of translating",
            rows=tuple(subject.sample[same]),
            evidence={"equal": len(same)},
        )


def out_of_step(subject: Subject) -> Iterator[Remark]:
    """Pairs whose sides differ in length as no others do: lines that do not belong together.

    z = |ln(a/b) − median| / (1.4826 MAD) > 6, and a threefold ratio beside the usual one, in words.
    """
    sources, targets = subject.sides
    a, b = (np.array([len(words_of(text)) for text in side.texts]) for side in (sources, targets))
    judged = np.flatnonzero((np.minimum(a, b) > 0) & (np.maximum(a, b) >= _WORDS))
    if len(judged) < _LEAST:
        return
    ratio = np.log(a[judged] / b[judged])
    off = np.abs(ratio - np.median(ratio))
    far = judged[off > max(math.log(_TIMES), _FAR * 1.4826 * float(np.median(off)))]
    if len(far):
        first = far[0]
        yield Remark(
            "warning" if len(far) >= _SOME * len(judged) else "info",
            f"{len(far):,} pairs have sides of lengths that do not go together, such as {a[first]} and "
            f"{b[first]} words in row {subject.sample[first]}; usual is a ratio of "
            f"{math.exp(float(np.median(ratio))):.2f}",
            "look whether the two sides are in step there; drop what is no translation",
            rows=tuple(subject.sample[far]),
            evidence={"pairs": len(far)},
        )


def exchanged(subject: Subject) -> Iterator[Remark]:
    """Pairs whose sides are in each other's language, by the words that each side mostly has."""
    sources, targets = subject.sides
    if len(sources.texts) < _LEAST:
        return
    split = [[words_of(text.lower()) for text in side.texts] for side in (sources, targets)]
    counts = [Counter(word for words in side for word in words) for side in split]
    totals = [max(1, one.total()) for one in counts]

    def leaning(words: list[str], *, without: tuple[int, int]) -> float:
        """Sum of ln p(word | sources) − ln p(word | targets), the text's own words left out."""
        own = Counter(words)
        return sum(
            math.log((counts[0][w] - without[0] * own[w] + 0.5) / totals[0])
            - math.log((counts[1][w] - without[1] * own[w] + 0.5) / totals[1])
            for w in words
        )

    both = zip(*split, strict=True)
    at = [
        i
        for i, (one, other) in enumerate(both)
        if min(len(one), len(other)) > 2
        and leaning(one, without=(1, 0)) < -len(one)
        and leaning(other, without=(0, 1)) > len(other)
    ]
    if at:
        n = len(sources.texts)
        yield Remark(
            "warning" if len(at) >= _SOME * n else "info",
            f"{len(at):,} of {n:,} pairs seem to have their sides exchanged: {sources.texts[at[0]][:60]!r}",
            "exchange source and target there",
            rows=tuple(subject.sample[at]),
            evidence={"exchanged": len(at)},
        )


def ambiguous(subject: Subject) -> Iterator[Remark]:
    """Sources with several targets: of which no more than one can be answered."""
    sources, targets = subject.sides
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for one, other in zip(sources.texts, targets.texts, strict=True):
        if one.strip():
            answers[one][other] += 1
    several = [source for source, found in answers.items() if len(found) > 1]
    lost = sum(answers[source].total() - max(answers[source].values()) for source in several)
    if several:
        yield Remark(
            "info",
            f"{len(several):,} sources have several targets, up to "
            f"{max(len(answers[source]) for source in several)}: of {share(lost / len(sources.texts))} of "
            "the pairs no answer is the one that is asked for",
            "translations differ; keep one each where exact matches are measured",
            evidence={"sources": len(several), "lost": lost},
        )


def tags(subject: Subject) -> Iterator[Remark]:
    """Tags with few occurrences in training, or with none there."""
    counts = {part: Counter[str]() for part in subject.parts}
    for part, rows in subject.parts.items():
        for row in subject.dataset.targets[rows].tolist():
            counts[part].update(row.split())
    train = counts["train"]
    lacking = sorted({tag for one in counts.values() for tag in one} - set(train))
    if lacking:
        yield Remark(
            "warning",
            f"tags that training has none of: {listed(lacking)}",
            "split anew, or gather more: they cannot be learnt",
        )
    few = [f"{tag} ({count})" for tag, count in sorted(train.items()) if count < _FEW]
    if few:
        yield Remark(
            "info",
            f"tags with fewer than {_FEW} occurrences in training: {listed(few)}",
            "gather more, or put rare tags together",
        )


CHECKS = (
    Check("untranslated", "no target repeats its source", untranslated, kinds=_PAIRS),
    Check("out-of-step", "the sides of all pairs have lengths that go together", out_of_step, kinds=_PAIRS),
    Check("exchanged-sides", "every side is in its language", exchanged, kinds=_PAIRS),
    Check("ambiguous-sources", "every source has one target", ambiguous, kinds=_PAIRS),
    Check("tags", "every tag occurs in training", tags, kinds=_TOKENS, targets="tags"),
)
