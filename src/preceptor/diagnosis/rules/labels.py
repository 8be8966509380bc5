"""Rules: how targets are coded, and which of them are learned."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._data_labels import Classes, classes
from preceptor.diagnosis._data_outcome import apart, goes_badly, share
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import AFFINE

__all__: list[str] = []

_INDEXED = ("cross_entropy", "nll_loss")
_BINARY = ("binary_cross_entropy_with_logits", "binary_cross_entropy")
_MOST_CLASSES = 50
_RARE, _PLENTY = 10, 50


@rule("bad-labels")
def shifted_labels(case: Case) -> Iterator[Finding]:
    """Name labels that begin at 1 where the loss counts from 0.

    K = columns of the scores; classes 1 … K − 1 all occur, class 0 never does, among n ≥ max(50, 10 K)
    targets: were it as frequent as the others, that had probability (1 − 1/K)ⁿ. Class 0 may be kept for
    padding, so it is information only unless the run goes badly; `ignore_index` = 0 and more than 50 classes
    do not count.
    """
    call, known = case.loss_call, classes(case)
    if call is None or call.function not in _INDEXED or len(call.shape()) < 2:
        return
    columns = call.shape()[1]
    if not 3 <= columns <= _MOST_CLASSES or set(known.counts) != set(range(1, columns)):
        return
    if known.seen < max(50, 10 * columns) or not _lowest(case) >= 1:
        return
    bad = goes_badly(case)
    yield Finding(
        "bad-labels",
        "warning" if bad else "info",
        f"Labels run from 1 to {columns - 1} where {call.function} counts from 0: class 0 never occurs.",
        {
            "columns of the scores": columns,
            "targets seen": known.seen,
            "of class 0": 0,
            "shares": _shares(known),
        },
        confidence=0.7 if bad else 0.4,
        where=call.where,
        effect="one output is there only to be pushed down, and what reads it off by one is wrong",
        remedy="subtract 1 from the labels and drop an output, or leave padding out with ignore_index=0",
        against=("class 0 may stand for padding that is masked",),
    )


def _lowest(case: Case) -> float:
    lows = case.signal("target_min", "train")
    return float(np.min(lows.values)) if len(lows) else math.nan


def _shares(known: Classes) -> dict[str, float]:
    return {str(label): float(f"{part:.3g}") for label, part in list(known.shares.items())[:10]}


@rule("bad-labels")
def one_label(case: Case) -> Iterator[Finding]:
    """Name a classification whose targets are all of one class.

    All n ≥ 64 targets of at least 8 batches are of one class, and the scores come straight out of an affine
    layer, whose bias alone can answer that. The last of these batches comes in the run's second half, or
    after the first epoch, or 64 targets of the evaluation and more are all of that class, too: data of which
    only the beginning was looked at do not count. Nor do scores that are similarities, where the right one
    stands first by construction, and adversarial nets.
    """
    call, known = case.loss_call, classes(case)
    if call is None or call.function not in (*_INDEXED, *_BINARY) or len(case.optimizers) != 1:
        return
    deviation = case.signal("target_std", "train")
    if len(known.counts) != 1 or known.seen < 64 or len(deviation) < 8 or float(np.max(deviation.values)) > 0:
        return
    epoch = case.steps / case.epochs if case.epochs else math.inf
    beside, label = classes(case, "evaluation"), next(iter(known.counts))
    alike = beside.seen >= 64 and set(beside.counts) == {label}
    if not (alike or deviation.steps[-1] >= min(case.steps / 2, epoch)) or not _from_layer(case):
        return
    others = [other for other in beside.counts if other != label]
    yield Finding(
        "bad-labels",
        "critical",
        f"All {known.seen} targets that were looked at are of class {label}: there is nothing to tell apart.",
        {
            "targets seen": known.seen,
            "batches looked at": len(deviation),
            "other classes in evaluation": others[:8],
        },
        confidence=0.9,
        exact=bool(others),
        where=call.where,
        effect="the loss falls to zero by the bias alone",
    )


def _from_layer(case: Case) -> bool:
    if case.structure is None:
        return False
    makers = [case.structure.maker(value) for value in case.structure.predictions]
    return any(node is not None and node.op in AFFINE and bool(node.module) for node in makers)


@rule("bad-labels", early=True)
def targets_outside(case: Case) -> Iterator[Finding]:
    """Name targets of a binary cross-entropy outside [0, 1].

    L = −y ln p − (1 − y) ln(1 − p) has no lower bound for y < 0 or y > 1: it falls for ever as p → 0 or 1.
    Goodfellow, Bengio & Courville, Deep Learning, section 6.2 (2016).
    """
    for call in case.loss_calls:
        low, high = call.number("target_min"), call.number("target_max")
        if call.phase != "train" or call.function not in _BINARY or not (low < 0 or high > 1):
            continue
        coded = call["target_distinct"] == 2 and call["integral"]
        yield Finding(
            "bad-labels",
            "critical",
            f"{call.function} is given targets from {low:.4g} to {high:.4g}, and wants them within 0 … 1.",
            {"smallest target": low, "largest target": high, "different values": call["target_distinct"]},
            exact=True,
            where=call.where,
            steps=(call.step,),
            effect="the loss has no lower bound: it is best for infinite scores",
            remedy=f"code the classes {low:g} and {high:g} as 0 and 1" if coded else "",
        )
        return


@rule("class-imbalance")
def imbalance(case: Case) -> Iterator[Finding]:
    """Name rare classes that are never predicted beside one that nearly always is.

    p₁ = share of the most frequent class in training; class c is rare for p_c ≤ p₁/5 and ignored where at
    most one in twenty of at least 10 of its samples at the latest looks, of training and of evaluation, is
    predicted right, while of the most frequent class nine in ten are. Named where half of the rare classes
    have so many samples, or all of them together where p₁ ≥ ½; where none of them, and one in twenty of them
    all at most, is predicted right; the loss weighs none; and less than half is explained of training or of
    held-out targets. He & Garcia, Learning from Imbalanced Data (2009).
    """
    call, known = case.loss_call, classes(case).beside(classes(case, "evaluation"))
    if call is None or call["weighted"] or len(known.counts) < 2 or len(case.optimizers) != 1:
        return
    common, most = next(iter(known.shares.items()))
    rare = {label: part for label, part in known.shares.items() if part <= most / 5}
    judged = [label for label in rare if known.late(label) >= _RARE]
    late = sum(known.late(label) for label in rare)
    if not rare or not known.recall(common) >= 0.9 or any(known.recall(label) > 0.05 for label in judged):
        return
    if not judged or len(judged) < len(rare) / 2:
        if most < 0.5 or late < _RARE:
            return
        judged = [label for label in rare if known.late(label)]
    right = sum(known.table.get((label, label), 0) for label in rare)
    if right > 0.05 * late or not (share(case) < 0.5 or apart(case) < 0.5):
        return
    yield Finding(
        "class-imbalance",
        "warning",
        f"Class {common} makes up {most:.0%} of the targets, and of what is rare nothing is predicted:"
        f" {', '.join(map(str, judged[:5]))}.",
        {
            "shares": _shares(known),
            "predicted right": {str(label): known.recall(label) for label in [common, *judged[:5]]},
            "samples of rare classes at the latest looks": late,
            "accuracy of always the same class": float(f"{most:.3g}"),
        },
        confidence=0.7 + 0.2 * min(1.0, late / _PLENTY),  # not one of fifty: that is counted, not estimated
        where=call.where,
        effect=f"accuracy is {most:.0%} without having learned anything of the rest",
    )
