"""BLEU: how many of a translation's n-grams stand in the translations of people."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._measures import Metric
from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["Bleu", "bleu", "shared_n_grams", "words_13a"]

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# What the evaluations of machine translation since 2008 part from words: symbols, full stops and commas but
# within numbers, and a dash behind a digit.
_PARTED = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def words_13a(text: str) -> list[str]:
    """Return the words of a text as the standard evaluation "13a" takes them.

    Source: NIST, mteval-v13a.pl, 2009; Post, A Call for Clarity in Reporting BLEU Scores, 2018.

    Example:
        >>> words_13a("A well-known pair, 1,000.5 km (or so).")
        ['A', 'well-known', 'pair', ',', '1,000.5', 'km', '(', 'or', 'so', ')', '.']
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    text = f" {text} "
    for pattern, parted in _PARTED:
        text = pattern.sub(parted, text)
    return text.split()


def _counts(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def _tokens(text: str | Sequence[str]) -> Sequence[str]:
    return words_13a(text) if isinstance(text, str) else text


def shared_n_grams(translation: Any, references: Any, order: int = 4) -> list[int]:
    """Return what BLEU needs of one translation, which adds up over a corpus.

    Arguments:
        translation: a text, which is split by `words_13a`, or a list of tokens.
        references: a text or a list of tokens; of several references a tuple.
        order: of the longest n-grams.

    Returns:
        For n = 1 … order how many of its n-grams stand in a reference, each at most as often as there; how
        many it has; its length; and the length of the reference that is nearest to it.

    Example:
        >>> shared_n_grams("the the the the the the the", ("the cat is on the mat", "there is a cat"), 2)
        [2, 0, 7, 6, 7, 6]
    """
    said = _tokens(translation)
    wanted = [_tokens(one) for one in (references if isinstance(references, tuple) else (references,))]
    if not wanted:
        raise DataError("a translation has no reference", expected="at least one", received="none")
    matches, totals = [], []
    for n in range(1, order + 1):
        own, most = _counts(said, n), Counter[tuple[str, ...]]()
        for reference in wanted:
            most |= _counts(reference, n)
        matches.append((own & most).total())
        totals.append(max(len(said) - n + 1, 0))
    nearest = min((abs(len(one) - len(said)), len(one)) for one in wanted)[1]
    return [*matches, *totals, len(said), nearest]


class Bleu(Metric):
    """BLEU of a corpus, from 0 to 100: counts of all sentences are added up before anything is divided.

    Example:
        >>> metric = Bleu()
        >>> metric.update(["the cat sat on a mat"], ["the cat sat on the mat"])
        >>> round(metric.compute(), 2), metric.brevity_penalty
        (53.73, 1.0)
    """

    def __init__(self, order: int = 4, smoothing: str = "none") -> None:
        self.order, self.smoothing = order, smoothing
        self.reset()

    def reset(self) -> None:
        """Forget all sentences."""
        self.counts = torch.zeros(2 * self.order + 2, dtype=torch.float64)
        self.sentences = 0

    def update(self, output: Any, target: Any) -> None:
        """Add translations and their references, texts or lists of tokens; several references as a tuple.

        Raises:
            DataError: they are not as many.
        """
        if len(output) != len(target):
            raise DataError(
                "translations and references do not pair up",
                expected="a reference for each translation, several as a tuple",
                received=f"{len(output)} translations, {len(target)} references",
            )
        if len(output):
            rows = [shared_n_grams(a, b, self.order) for a, b in zip(output, target, strict=True)]
            self.add(torch.tensor(rows, dtype=torch.float64))

    def add(self, counts: Tensor) -> None:
        """Add sentences by what `shared_n_grams` says of them, (N, 2·order + 2)."""
        self.counts = self.counts + counts.sum(0)
        self.sentences += len(counts)

    @property
    def precisions(self) -> list[float]:
        """The shares of n-grams that stand in a reference, n = 1 … order; NaN where there are none."""
        matches, totals = self.counts[: self.order].tolist(), self.counts[self.order : -2].tolist()
        shares, halved = [], 1.0
        for matched, total in zip(matches, totals, strict=True):
            if not matched and total and self.smoothing == "exponential":
                halved *= 2
                matched = 1 / halved
            shares.append(matched / total if total else math.nan)
        return shares

    @property
    def brevity_penalty(self) -> float:
        """min(1, exp(1 − r/c)) for translations of c words in all and references of r."""
        said, wanted = self.counts[-2:].tolist()
        return 1.0 if said >= wanted else math.exp(1 - wanted / said) if said else 0.0

    def compute(self) -> float:
        """Return BLEU; 0 where an n-gram of some length never fits, NaN without sentences."""
        if not self.sentences:
            return math.nan
        shares = self.precisions
        if not all(share > 0 for share in shares):  # nor where there is no n-gram of that length
            return 0.0
        return 100 * self.brevity_penalty * math.exp(sum(map(math.log, shares)) / self.order)


@registered(
    kind="metric",
    name="bleu",
    aliases=("corpus-bleu", "bleu-4", "bilingual-evaluation-understudy"),
    formula="BLEU = 100 · min(1, e^{1 − r/c}) · exp((1/order) Σ_{n ≤ order} log p_n), p_n = n-grams of the "
    "translations "
    "that stand in a reference, each at most as often as there / n-grams of the translations; c and r the "
    "words of "
    "translations and nearest references. smoothing='exponential': the k-th p_n without a match counts 2^−k "
    "matches",
    shapes="N translations, N references: texts, split as '13a' does, or lists of tokens; several references "
    "of one "
    "as a tuple → 0 … 100",
    when="translations of a whole test set, against the same references",
    pitfalls="of one sentence it is mostly 0: add up a corpus, or smooth; other tokens, or small letters, "
    "give "
    "another number, so say which; right words that no reference has count as wrong",
    source="Papineni, Roukos, Ward and Zhu, BLEU: a Method for Automatic Evaluation of Machine Translation, "
    "2002; "
    "words: Post, A Call for Clarity in Reporting BLEU Scores, 2018",
    differs="sacrebleu smooths exponentially by default, which changes nothing where every p_n has a match",
    example=">>> metric = get('bleu')\n"
    ">>> metric.update(['a man rides a brown horse .'], ['a man rides a horse .'])\n"
    ">>> round(metric.compute(), 2)\n48.89",
    traits={"better": "max", "targets": "sequences"},
)
def bleu(order: int = 4, smoothing: str = "none") -> Bleu:
    """BLEU of translations: shared n-grams up to four words, and a penalty for what is too short."""
    check_count("bleu", "order", order)
    return Bleu(order, check_choice("bleu", "smoothing", smoothing, ("none", "exponential")))
