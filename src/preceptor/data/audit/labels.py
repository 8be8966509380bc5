"""Checks of targets: rare classes, classes that a part lacks, labels that their neighbours gainsay."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data.audit._remark import Check, Remark, listed, plural, share
from preceptor.data.audit._subject import NEIGHBOURS, Subject
from preceptor.data.audit.outliers import beyond_gap

__all__ = ["CHECKS"]

_UNEQUAL = 20.0  # examples of the largest class to one of the smallest
_FEW = 5  # examples of a class: not enough to learn it by, let alone to measure it
_SURE = 9  # of ten neighbours that agree
_JUDGED = 0.3  # of the examples have such neighbours; else nearness says little of the class
_LEAST = 0.01  # labels that are wrong, at least, before one speaks of it
_EVEN = 0.5  # rate among sure neighbours ÷ rate overall: less, and classes overlap
_MIN = 5
_FAR = 12.0  # robust deviations by which a number misses what its neighbours have
_APART = 2.0  # as wide as the reach of all other differences, twice
_Z = 1.96
_CLASSES = "categories"


def balance(subject: Subject) -> Iterator[Remark]:
    """Classes with a small share of the training part, or too few examples."""
    if subject.labels is None:
        return
    names = subject.dataset.classes
    counts = np.bincount(subject.labels[subject.split.train], minlength=len(names))
    present = counts[counts > 0]
    if len(present) > 1 and present.max() >= _UNEQUAL * present.min():
        rare = np.argsort(counts, kind="stable")[: int((_UNEQUAL * counts <= counts.max()).sum())]
        small = [f"{names[i]} {counts[i]:,}" for i in rare if counts[i]]
        yield Remark(
            "warning",
            f"classes are unequal: {names[int(counts.argmax())]} {counts.max():,}, but {listed(small)}",
            "weigh the loss by class, judge by macro-F1 or the recall of each class, not by accuracy",
            evidence={"largest": int(present.max()), "smallest": int(present.min())},
        )
    few = [f"{names[i]} ({counts[i]})" for i in np.flatnonzero((counts > 0) & (counts < _FEW))]
    if few:
        yield Remark(
            "warning",
            f"fewer than {_FEW} training examples of {listed(few)}",
            "gather more, or put rare classes together",
        )


def absent(subject: Subject) -> Iterator[Remark]:
    """Classes that a part has none of."""
    if subject.labels is None:
        return
    names = subject.dataset.classes
    for part, rows in subject.parts.items():
        counts = np.bincount(subject.labels[rows], minlength=len(names))
        lacking = [names[i] for i in np.flatnonzero(counts == 0)]
        if lacking:
            yield Remark(
                "warning" if part == "train" else "info",
                f"no {part} examples of {listed(lacking)}",
                "split so that every class has its share in every part (stratified)",
                evidence={"part": part},
            )


def gainsaid(subject: Subject) -> Iterator[Remark]:
    """Labels that the labels of the nearest other examples contradict.

    An example is gainsaid where at least 9 of its 10 nearest others have one other class; q is the share of
    those among all examples with 9 neighbours of one class, e the share that its neighbours' majority
    contradicts at all. Wrong labels lie everywhere alike, so q ≈ e, while classes that overlap have q ≪ e: a
    warning needs q ≥ e/2 and a 95 % lower bound of q of 1 %. The list is that of confident learning: the
    share of neighbours of the other class is at least the mean such share among examples that have that
    label, and that class has the majority. Northcutt, Jiang and Chuang, Confident Learning, 2021.
    """
    labels, near = subject.labels, subject.neighbours
    if labels is None or near is None:
        yield from () if labels is None else (Remark("skipped", "labels: too few examples to compare"),)
        return
    votes, own = _votes(labels, near.rows, near.places, len(subject.dataset.classes))
    majority, most = votes.argmax(axis=1), votes.max(axis=1)
    sure, wrong = most >= _SURE, majority != own
    if sure.mean() < _JUDGED:
        yield Remark(
            "skipped", f"labels: only {share(sure.mean())} of the examples have neighbours of one class"
        )
        return
    deep = sure & wrong
    if not deep.any():
        return
    rate, overall = float(deep.sum() / sure.sum()), float(wrong.mean())
    noisy = deep.sum() >= _MIN and _lower(int(deep.sum()), int(sure.sum())) >= _LEAST
    noisy = bool(noisy and rate >= _EVEN * overall)
    suspects = np.flatnonzero((wrong if noisy else deep) & _confident(votes, own, majority))
    if not len(suspects):
        return
    order = suspects[np.lexsort((near.distance[suspects, -1], -most[suspects]))]
    names = subject.dataset.classes
    pairs = [f"{names[own[i]]} among {names[majority[i]]}" for i in order]
    yield Remark(
        "warning" if noisy else "info",
        f"{share(rate)} of labels disagree with all their neighbours: {plural(len(order), 'example')}, such "
        f"as row {near.rows[order[0]]} ({pairs[0]})",
        "look at them in the order of the list; correct or drop what is wrong, or use label smoothing",
        rows=tuple(near.rows[order]),
        evidence={"rate": rate, "overall": overall, "labelled among": pairs[:50]},
    )


def _votes(labels: Array, rows: Array, index: Array, classes: int) -> tuple[NDArray[np.int64], Array]:
    """Return how many of the neighbours have each class, (n, K), and each row's own class."""
    own = labels[rows]
    flat = np.repeat(np.arange(len(rows)), NEIGHBOURS) * classes + own[index].ravel()
    return np.bincount(flat, minlength=len(rows) * classes).reshape(len(rows), classes), own


def _confident(votes: NDArray[np.int64], own: Array, other: Array) -> NDArray[np.bool_]:
    """Whether the other class has the share of neighbours that its own examples have on average."""
    p = votes / NEIGHBOURS
    usual = np.array([p[own == k, k].mean() if (own == k).any() else 1.0 for k in range(p.shape[1])])
    usual = np.floor(usual * NEIGHBOURS) / NEIGHBOURS  # shares come in tenths
    found: NDArray[np.bool_] = p[np.arange(len(p)), other] >= usual[other]
    return found


def _lower(count: int, n: int) -> float:
    """Return the lower end of Wilson's 95 % interval of a share."""
    p, shrink = count / n, 1 + _Z * _Z / n
    return (p + _Z * _Z / (2 * n) - _Z * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))) / shrink


def far_targets(subject: Subject) -> Iterator[Remark]:
    """Numbers to be predicted that are far from what the nearest other examples have.

    z = |y − median of the neighbours' y| / (1.4826 MAD of these differences) > 12, and a gap as wide as two
    thirds of the way to it: a curve too steep for its neighbours has large differences too, but no gap.
    """
    amounts, near = subject.amounts, subject.neighbours
    if amounts is None or near is None:
        return
    own = amounts[near.rows]
    gap = own - np.median(own[near.places], axis=1)
    spread = 1.4826 * float(np.median(np.abs(gap - np.median(gap))))
    if spread == 0:
        return
    z = np.abs(gap) / spread
    far = np.intersect1d(np.flatnonzero(z > _FAR), beyond_gap(gap, gap=_APART, code_gap=_APART))
    if len(far):
        order = far[np.argsort(-z[far])]
        worst = order[0]
        yield Remark(
            "warning",
            f"{plural(len(far), 'target')} far from those of similar examples, such as row "
            f"{near.rows[worst]}: {own[worst]:.4g} beside {np.median(own[near.places[worst]]):.4g}",
            "look for slips of the decimal point and of units; else a robust loss (huber, mae)",
            rows=tuple(near.rows[order]),
            evidence={"z": z[order][:50]},
        )


CHECKS = (
    Check("class-balance", "no class is rare", balance, targets=_CLASSES),
    Check("absent-classes", "every part has every class", absent, targets=_CLASSES),
    Check("label-noise", "labels agree with their neighbours", gainsaid, quick=False, targets=_CLASSES),
    Check("far-targets", "targets agree with their neighbours", far_targets, quick=False, targets="numbers"),
)
