"""Rules: squared and absolute errors of classes, where a run goes badly."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._aims import Aim, Compared, compared
from preceptor.diagnosis._origins import origin, reach
from preceptor.diagnosis._success import goes_badly, typical_error
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["class_numbers_as_quantities", "errors_on_classes"]

_ERRORS = ("squared error", "absolute error")
_SQUASHING = ("sigmoid", "softmax")
_BALANCED = 0.9  # of ln K: labels of a sorted-out task are near it, counts and ratings are not
_MOST_CLASSES = 30
_WRONG = 0.05
_CLOSE = 1 / 6
_QUANTITIES = "whole numbers that are quantities (counts, grades) look the same"


@rule("loss-mismatch")
def errors_on_classes(case: Case) -> Iterator[Finding]:
    """Squared or absolute error of yes/no or one-hot targets, in a run that goes badly.

    Behind a sigmoid or softmax with output p the gradient of (p − y)² is 2 (p − y) p (1 − p): it vanishes
    where the unit is sure and wrong, while that of cross-entropy is p − y. |p − y| is best answered by the
    commoner class alone. Counts where the targets hold 0 and 1 only (σ² = μ (1 − μ)) and less than half of
    what there is to explain was explained, or the run diverged: squared error on classes (the Brier score)
    is a proper score and works well in many runs. Targets that are constant within a batch (least-squares
    adversarial nets) and soft targets do not count. The yes/no loss of a softmax over three
    classes or more counts likewise: it asks C questions of outputs that give one answer.

    Source: Golik, Doetsch & Ney, Cross-Entropy vs. Squared Error Training (2013); Hui & Belkin, Evaluation of
    Neural Architectures Trained with Square Loss vs Cross-Entropy (2020).
    """
    if len(compared(case)) != 1 or not goes_badly(case):
        return
    one = compared(case)[0]
    aim = one.aim
    if aim is None or not aim.binary or aim.constant:
        return
    made = origin(one.structure, one.term.prediction)
    if one.term.form not in _ERRORS and not _exclusive(one, aim, made.kind):
        return
    share = case.explained
    kind = "one-hot" if aim.one_hot else "0/1"
    behind = f" behind a {made.kind}" if made.kind in _SQUASHING else ""
    yield Finding(
        "loss-mismatch",
        "warning",
        f"{one.term.name} ({one.term.form}) is minimised on {kind} targets{behind}",
        {
            "targets": f"{kind}, mean {aim.mean:.3f}",
            "output": made.name,
            "explained": "diverged" if share is None or math.isnan(share) else round(share, 3),
        },
        confidence=0.7 if behind else 0.5,
        where=one.term.where,
        effect=_effect(one, bool(behind)),
        remedy=f"use {'cross_entropy' if aim.one_hot else 'binary_cross_entropy_with_logits'} on the scores"
        " before the last activation",
        against=("this loss works in many such runs: another cause may hold this one back",),
    )


def _effect(one: Compared, squashed: bool) -> str:
    if one.term.form not in _ERRORS:
        return "each class is asked about for itself, though the outputs share one probability"
    if squashed:
        return "its gradient is multiplied by p (1 − p), which vanishes where an answer is sure and wrong"
    return "answers that are right by a wide margin are punished like wrong ones"


def _exclusive(one: Compared, aim: Aim, made: str) -> bool:
    """Whether a yes/no loss is asked of a softmax over exclusive classes."""
    return one.term.form == "binary cross-entropy" and aim.one_hot and made == "softmax" and one.classes > 2


@rule("loss-mismatch", "unsuitable-output-activation")
def class_numbers_as_quantities(case: Case) -> Iterator[Finding]:
    """Squared or absolute error of class numbers: a regression onto names.

    The number of a class orders classes that have no order, and between classes 1 and 7 the mean answer is
    4. Counts where targets were whole by type before they were converted, are 0 … K − 1 with none missing (3
    ≤ K ≤ 30), nearly equally frequent (entropy ≥ 0.9 ln K), the model has one output, and the error left at
    the end would round to a wrong class in more than 5 % of cases: P(|e| > ½) = erfc(1/(2 √2 σ)), σ = RMSE.
    Counts, ages and ratings are rarely all of that; which of both it is, only their meaning tells. An
    activation on the one output is named besides.

    Source: Bishop, Pattern Recognition and Machine Learning, section 4.1.3 (2006).
    """
    found = compared(case)
    if len(found) != 1 or found[0].aim is None or found[0].term.form not in _ERRORS:
        return
    one, aim = found[0], found[0].aim
    classes = _number_of_classes(case, aim) if aim.counted else 0
    error = typical_error(case, one)
    wrong = math.erfc(0.5 / (error * math.sqrt(2))) if error > 0 else 0.0
    if not 3 <= classes <= _MOST_CLASSES or wrong < _WRONG:
        return
    yield Finding(
        "loss-mismatch",
        "warning",
        f"{one.term.name} fits the numbers of {classes} classes as if they were quantities",
        {
            "labels": f"0 … {classes - 1}, all about equally frequent, whole numbers before conversion",
            "typical error": round(error, 3),
            "share that rounds to a wrong class": round(wrong, 3),
        },
        confidence=0.75,
        where=one.term.where,
        effect="classes with neighbouring numbers are taken for similar, and doubt is answered by a number"
        " between",
        remedy=f"give the model {classes} outputs and use cross_entropy with the labels as they are",
        against=(_QUANTITIES,),
    )
    bounds, node = reach(one.structure, one.term.prediction)
    if node is not None:
        yield Finding(
            "unsuitable-output-activation",
            "warning",
            f"one {node.op} unit ({bounds.words}) answers for {classes} classes",
            {"outputs": 1, "classes": classes, "range of the output": [bounds.low, bounds.high]},
            confidence=0.6,
            where=node.where,
            layers=(node.module,) if node.module else (),
            effect="one number cannot say that a sample is either of two classes far apart",
            remedy=f"end with a linear layer of {classes} units, without an activation",
            against=(_QUANTITIES,),
        )


def _number_of_classes(case: Case, aim: Aim) -> int:
    """How many classes 0 … K − 1 there are, about equally frequent and one a sample; 0 where they are not.

    Where the loss is written by hand, and labels were not counted: whether mean and deviation are those of
    K equal shares, (K − 1)/2 and √((K² − 1)/12), to a sixth.
    """
    if math.prod(aim.shape) != (aim.shape[0] if aim.shape else 1) or aim.low != 0:
        return 0
    counts = {int(float(c)): int(n) for c, n in case.facts.get("classes", {}).get("train", {}).items()}
    if not counts:
        k = round(aim.high) + 1
        mean, std = (k - 1) / 2, math.sqrt((k * k - 1) / 12)
        close = abs(aim.mean - mean) < _CLOSE * mean and abs(aim.std - std) < _CLOSE * std
        return k if close else 0
    if sorted(counts) != list(range(len(counts))):
        return 0
    total = sum(counts.values())
    entropy = -sum(n / total * math.log(n / total) for n in counts.values() if n)
    return len(counts) if entropy >= _BALANCED * math.log(len(counts)) else 0
