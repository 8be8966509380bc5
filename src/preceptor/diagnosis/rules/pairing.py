"""Rules: which inputs targets belong to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._data_feeds import space_bits, training_feed, typical_values
from preceptor.diagnosis._data_labels import classes
from preceptor.diagnosis._data_outcome import apart, goes_badly, share
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__: list[str] = []

_CHI = 3.84  # a χ² variable of one degree of freedom exceeds it in one case of twenty
_Z = 1.645  # a normal variable is that much below its mean in one case of twenty
_PAIRS, _AGAIN = 40, 20
_BITS, _NOTHING = 32.0, 0.05


@rule("bad-labels")
def contradicting_labels(case: Case) -> Iterator[Finding]:
    """Name inputs that come with different labels, some of the time.

    ε = other / again: of samples that came again, bit by bit the same, those whose target was another one
    than at first, out of at least 40. Named for 0.05 ≤ ε and under half of what labels drawn at random would
    have, where the run goes badly and inputs are rich enough (32 bits and more, not switches alone) not to
    be equal by chance. Targets that change on purpose (returns, a teacher's) are new numbers, and do not
    count.
    """
    again, other, known = _again(case)
    chance = 1 - classes(case).alike if classes(case).counts else 1.0
    if again < 2 * _AGAIN or known < 0.8 * other or not _rich(case) or not goes_badly(case):
        return
    if not typical_values(case) > 2:
        return
    if not 0.05 <= other / again < chance / 2:
        return
    yield Finding(
        "bad-labels",
        "warning",
        f"{other} of {again} samples that came again had another label than at first.",
        {
            "came again": again,
            "with another label": other,
            "expected of random labels": float(f"{chance:.3g}"),
        },
        confidence=0.6,
        where=case.loss_call.where if case.loss_call is not None else "",
        effect="the loss cannot fall below the entropy of that noise",
    )


def _again(case: Case) -> tuple[int, int, int]:
    """How many samples came again, with another target, with one known from other samples."""
    pairs: Any = case.facts.get("pairs")
    if not isinstance(pairs, dict) or len(case.optimizers) != 1:
        return 0, 0, 0
    return int(pairs.get("again", 0)), int(pairs.get("other", 0)), int(pairs.get("known", 0))


def _rich(case: Case) -> bool:
    """Whether inputs are of a kind of which two are not equal by chance."""
    feed = training_feed(case)
    return feed is not None and (feed.floating or feed.dtype == "uint8") and space_bits(case) >= _BITS


@rule("misaligned-inputs-and-labels")
def labels_change(case: Case) -> Iterator[Finding]:
    """Name samples that come with another label each time.

    Of samples that came again, bit by bit the same (at least 20), the share ε whose target was another one
    than at first: ε ≥ (1 − Σ p_c²) / 2, half of what labels drawn at random would have. Of those new targets
    four in five of classes, a quarter of numbers, were other samples' before: fewer of the numbers are known,
    for not all samples have come by yet. It counts where training does not beat a constant answer by a fifth.
    Short codes and tokens, of which equal ones are drawn by chance, adversarial nets and moving targets
    (returns, a teacher's), which are new numbers, do not count.
    """
    again, other, known = _again(case)
    labels = bool(classes(case).counts)
    chance = 1 - classes(case).alike if labels else 1.0
    if again < _AGAIN or known < (0.8 if labels else 0.25) * other or not other >= again * chance / 2:
        return
    if not _rich(case) or share(case) > 0.2:
        return
    yield Finding(
        "misaligned-inputs-and-labels",
        "critical",
        f"{other} of {again} samples that came again had another label than at first: the pairing changes.",
        {
            "came again": again,
            "with another label": other,
            "expected of random labels": float(f"{chance:.3g}"),
        },
        exact=True,
        where=case.loss_call.where if case.loss_call is not None else "",
        effect="labels are independent of inputs: the best answer is the share of each class",
    )


@rule("misaligned-inputs-and-labels")
def unrelated_labels(case: Case) -> Iterator[Finding]:
    """Name labels that have nothing to do with their inputs.

    Over n ≥ 40 different training samples: n R + 1 < 3.84, R = squared distance correlation of inputs and
    targets, bias-corrected (the test of independence that sees every kind of dependence is far from
    rejecting), and nearest neighbours have targets no more alike than strangers have, by a test at 5 %. It
    counts where at most a twentieth is explained, of new data, or of training data where
    there is no evaluation, and training came near to a constant's loss at least. Tokens, inputs of several
    parts or of under 32 bits, classes of which the rare ones are under 20 in all, and rows of switches of
    which only some were looked at are not judged. Székely & Rizzo, Partial Distance Correlation (2014).
    """
    relation: Any = case.facts.get("relation")
    if not isinstance(relation, dict) or "correlation" not in relation or len(case.optimizers) != 1:
        return
    if not _dense(case):
        return
    rows, correlation = int(relation["rows"]), float(relation["correlation"])
    near, strangers, spread = (float(relation[name]) for name in ("near", "apart", "spread"))
    if rows < _PAIRS or not rows * correlation + 1 < _CHI or near < strangers - _Z * spread:
        return
    common = max(classes(case).shares.values(), default=0.0)
    if rows * (1 - common) < _AGAIN or not share(case) > -0.25:
        return
    beyond, learned = apart(case), share(case)
    if not _rich(case) or not (beyond if math.isfinite(beyond) else learned) <= _NOTHING:
        return
    yield Finding(
        "misaligned-inputs-and-labels",
        "critical" if beyond <= 0 else "warning",
        f"Inputs and targets of {rows} training samples are independent of each other as far as can be told.",
        {
            "distance correlation, squared": float(f"{correlation:.3g}"),
            "test of independence (rejects above 3.84)": float(f"{rows * correlation + 1:.3g}"),
            "targets of neighbours differ": float(f"{near:.3g}"),
            "targets of strangers differ": float(f"{strangers:.3g}"),
            "explained in training": float(f"{learned:.3g}"),
            **({"explained on held-out data": float(f"{beyond:.3g}")} if math.isfinite(beyond) else {}),
        },
        confidence=0.75,
        where=case.loss_call.where if case.loss_call is not None else "",
        effect="the best answer is a constant; a large net learns the pairs by heart",
        against=("inputs that hold nothing about the target would look the same",),
    )


def _dense(case: Case) -> bool:
    """Whether the few columns that were looked at stand for all: not words of which most are missing."""
    feed = training_feed(case)
    return feed is not None and (math.prod(feed.shape) <= 64 or typical_values(case) > 3)
