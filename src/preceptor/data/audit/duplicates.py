"""Checks of copies: equal and nearly equal examples, within the data and across its parts; contradictions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preceptor.data._dataset import Array
from preceptor.data.audit._chance import beyond_chance, equal_by_chance, nearer_than_chance
from preceptor.data.audit._remark import EVERY, Check, Remark, share
from preceptor.data.audit._subject import NEIGHBOURS, Subject
from preceptor.data.audit.images import HASHED, alike

__all__ = ["CHECKS"]

_MATTERS = 0.005  # of a part's examples: fewer copies hardly change what is measured on it
_MANY = 0.01  # of all examples: copies that weigh like so many more
_NAMES = {"val": "validation", "test": "test"}


def equal_rows(subject: Subject) -> Iterator[Remark]:
    """Examples that are equal to another of the same part, where that is no chance."""
    _, first, inverse = np.unique(subject.hashes, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(inverse)))
    n = len(subject.dataset)
    if not len(again) or not beyond_chance(len(again), equal_by_chance(subject) * n * (n - 1) / 2):
        return
    yield Remark(
        "warning" if len(again) >= _MANY * n else "info",
        f"{len(again):,} of {n:,} {subject.noun} repeat another ({share(len(again) / n)})",
        "drop the copies, unless that often is how often they occur",
        rows=tuple(again),
        evidence={"copies": len(again), "share": len(again) / n},
    )


def equal_across(subject: Subject) -> Iterator[Remark]:
    """Examples of validation or test that are in training too, where that is no chance."""
    hashes, train = subject.hashes, subject.split.train
    chance = equal_by_chance(subject)
    for part in ("val", "test"):
        rows = subject.parts.get(part)
        if rows is None:
            continue
        shared = rows[np.isin(hashes[rows], hashes[train])]
        if len(shared) and beyond_chance(len(shared), chance * len(rows) * len(train)):
            yield _leak(part, shared, len(rows), f"{subject.noun} are equal to one of training")


def near_across(subject: Subject) -> Iterator[Remark]:
    """Examples of validation or test that are nearly one of training.

    Of rows, the nearest other is so near, beside the tenth nearest, as it would be once in a hundred sets of
    independent rows: r₁ < r₁₀/t with t = (100·9 n)^(1/d) and d the dimension that the rows fill, since
    P(r₁ < r₁₀/t) ≈ 9 t⁻ᵈ. Images of 16 pixels and more are candidates where their perceptual hashes agree.
    """
    pairs = near_pairs(subject)
    if pairs is None:
        yield Remark("skipped", "near copies: there are too few examples, or none that can be compared")
        return
    part_of = subject.part_of
    for code, part in ((1, "val"), (2, "test")):
        rows = subject.parts.get(part, np.empty(0, np.int64))
        mixed = pairs[(part_of[pairs] == code).any(axis=1) & (part_of[pairs] == 0).any(axis=1)]
        if len(mixed):
            held = np.unique(mixed[part_of[mixed] == code])
            yield _leak(
                part, held, len(rows), "examples are nearly equal to one of training", pairs=mixed[:50]
            )
    within = pairs[(part_of[pairs] == 0).all(axis=1)]
    if len(within):
        yield Remark(
            "info",
            f"{len(within):,} pairs within training are nearly equal",
            "keep them in one part when splitting anew",
            rows=tuple(np.unique(within)),
            evidence={"pairs": within[:50]},
        )


def near_pairs(subject: Subject) -> Array | None:
    """Return pairs of rows (m, 2) that are nearly equal, but not equal; None where that cannot be judged."""
    dataset = subject.dataset
    if dataset.kind == "images" and min(dataset.shape[1:]) >= HASHED:
        found = alike(subject)
    elif subject.neighbours is None or not _continuous(subject):
        return None
    else:
        rows, index, distance = subject.neighbours
        close = nearer_than_chance(distance)
        found = np.stack([np.repeat(rows, NEIGHBOURS), rows[index].ravel()], axis=1)[close.ravel()]
    ordered = np.unique(np.sort(found, axis=1), axis=0)
    apart = subject.hashes[ordered[:, 0]] != subject.hashes[ordered[:, 1]]
    pairs: Array = ordered[apart]
    return pairs


def _continuous(subject: Subject) -> bool:
    """Whether equality by chance is out of the question, so that nearness means something."""
    n = len(subject.dataset)
    return equal_by_chance(subject) * n * n < 1.0


def _leak(part: str, rows: Array, of: int, what: str, **evidence: NDArray[np.int64]) -> Remark:
    return Remark(
        "warning" if len(rows) >= max(1.0, _MATTERS * of) else "info",
        f"{len(rows):,} of {of:,} {_NAMES[part]} {what} ({share(len(rows) / of)})",
        "drop them, or split anew so that copies, and what belongs together, lie in one part",
        rows=tuple(rows),
        evidence={"part": part, "copies": len(rows), "of": of, **evidence},
    )


def contradictions(subject: Subject) -> Iterator[Remark]:
    """Equal inputs with different classes: what is lost even by the best prediction."""
    labels = subject.labels
    if labels is None:
        return
    _, inverse, size = np.unique(subject.hashes, return_inverse=True, return_counts=True)
    both, votes = np.unique(np.stack([inverse, labels], axis=1), axis=0, return_counts=True)
    most = np.zeros(len(size), dtype=np.int64)
    np.maximum.at(most, both[:, 0], votes)
    lost = int((size - most).sum())
    n = len(labels)
    if not lost:
        return
    rows = np.flatnonzero((size > most)[inverse])
    chance = beyond_chance(len(rows), equal_by_chance(subject) * n * (n - 1) / 2)
    yield Remark(
        "warning" if chance and lost >= _MATTERS * n else "info",
        f"{len(rows):,} examples have equal inputs and different classes: "
        f"{share(lost / n)} of all cannot be predicted right",
        "correct their labels"
        if chance
        else "inputs so coarse coincide; further columns may tell them apart",
        rows=tuple(rows),
        evidence={"examples": len(rows), "lost": lost / n},
    )


CHECKS = (
    Check("exact-duplicates", "no example repeats another beyond chance", equal_rows, kinds=EVERY),
    Check("shared-examples", "no example is in two parts", equal_across, kinds=EVERY),
    Check(
        "near-duplicates",
        "no held-out example is a near copy of a training example",
        near_across,
        quick=False,
    ),
    Check("contradictions", "equal inputs have equal labels", contradictions, targets="categories"),
)
