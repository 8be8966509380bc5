"""Rules: scores of classes: what makes them, and what a loss can do with it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._about import about
from preceptor.diagnosis._aims import Compared, compared
from preceptor.diagnosis._origins import Origin, Range, origin, reach
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding, Severity
from preceptor.diagnosis.rule import rule

__all__ = ["bounded_scores", "scores_of_classes", "unbounded_probabilities", "weak_scores"]

_CAUSE = "unsuitable-output-activation"
_OF_LOGITS = ("cross-entropy", "binary cross-entropy of logits")
_FLOOR = 0.1  # nats
_WELL = 0.8


@rule(_CAUSE, early=True)
def scores_of_classes(case: Case) -> Iterator[Finding]:
    """A likelihood of exclusive classes whose outputs come from something else than a softmax.

    −ln σ(x_y) alone falls to 0 as all scores grow, whatever the class. σ(x_c) / Σ σ(x) is a distribution,
    but the gradient passes σ′ and vanishes as scores saturate together. Scores of a ReLU divided by their
    sum are 0 for many classes: −ln 0, no gradient back, and 0/0 where all are 0. Raw scores divided by their
    sum can be negative. Exact: read off the graph. exp, softplus, squares divided by their sum do not count.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 6.2.2.3 (2016).
    """
    for one in compared(case):
        if one.term.form != "likelihood" or one.term.target is None:
            continue
        found = origin(one.structure, one.term.prediction)
        found = found.under if found.kind == "log" and found.under is not None else found
        if found.kind == "sigmoid" and one.classes > 1 and not one.worst("row_exp_sum_off") < 1e-2:
            yield from _independent(one, found)
        elif found.kind == "share" and found.under is not None and one.classes > 1:
            yield from _divided(one, found.under)


def _independent(one: Compared, found: Origin) -> Iterator[Finding]:
    if not (one.term.picked or (one.aim is not None and one.aim.one_hot)):
        return
    yield about(
        one,
        _CAUSE,
        "critical",
        f"the likelihood of {one.classes} exclusive classes is taken of {found.name} scores, which do not"
        " compete",
        {"operators": "… → sigmoid → log → likelihood", "sigmoid at": found.where},
        node=found.node,
        effect="the loss falls to 0 when all scores grow, whatever the class is",
        remedy="use log_softmax instead of the logarithm of a sigmoid (or cross_entropy on the raw scores)",
    )


_NEGATIVE = "scores can be negative: they are no probabilities, and their sum may be 0"
_DIVIDED: dict[str, tuple[Severity, str]] = {
    "sigmoid": (
        "warning",
        "gradients pass the sigmoid's derivative, at most 1/4, and vanish as it saturates",
    ),
    "relu": ("critical", "a class with score 0 gets −ln 0 and no gradient; where all are 0 it is 0/0"),
    "affine": ("critical", _NEGATIVE),
    "tanh": ("critical", _NEGATIVE),
}


def _divided(one: Compared, scores: Origin) -> Iterator[Finding]:
    if scores.kind not in _DIVIDED:
        return
    severity, effect = _DIVIDED[scores.kind]
    yield about(
        one,
        _CAUSE,
        severity,
        f"class probabilities are made by dividing {scores.name} scores by their sum",
        {"operators": f"… → {scores.kind} → x / Σx → log → likelihood", "scores from": scores.where},
        node=scores.node,
        effect=effect,
        remedy="use softmax: log_softmax(scores, dim=1) with nll_loss, or cross_entropy on the raw scores",
    )


@rule(_CAUSE, early=True)
def unbounded_probabilities(case: Case) -> Iterator[Finding]:
    """A logarithm is taken, as of probabilities, of outputs that leave [0, 1].

    ReLU and softplus exceed 1, where −ln x is negative and 1 − x has no logarithm; tanh falls below 0. Where
    a clamp keeps them inside, no gradient passes it. Exact: the range of the last operator, for likelihoods
    and binary cross-entropies written by hand (torch's own refuse such inputs); of raw scores see
    logits-as-probabilities.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 6.2.2.2 (2016).
    """
    for one in compared(case):
        form = one.term.form
        if form not in ("likelihood", "binary cross-entropy") or one.term.target is None:
            continue
        found = origin(one.structure, one.term.prediction)
        if one.term.function == "nll_loss" and found.kind != "log":
            continue
        found = found.under if found.kind == "log" and found.under is not None else found
        bounds = _UNBOUNDED.get(found.kind)
        if bounds is not None:
            yield about(
                one,
                _CAUSE,
                "critical",
                f"{one.term.name} takes logarithms of {found.name}, {bounds.words}, as of probabilities",
                {"operators": f"… → {found.kind} → log", "range": [bounds.low, bounds.high]},
                node=found.node,
                effect="outside 0 … 1 the loss is NaN, negative, or clamped without a gradient",
                remedy="use the scores before the activation with binary_cross_entropy_with_logits, or"
                " cross_entropy for several classes",
            )


_UNBOUNDED = {"relu": Range(0.0, math.inf), "softplus": Range(0.0, math.inf), "tanh": Range(-1.0, 1.0)}


@rule(_CAUSE, early=True)
def bounded_scores(case: Case) -> Iterator[Finding]:
    """Scores between narrow bounds enter a loss that applies its own softmax or sigmoid.

    With scores in [a, b] the best cross-entropy of C classes is ln(1 + (C − 1) e^(a − b)): 0.80 for tanh and
    10 classes; the best yes/no loss is ln(1 + e^(−b)) for 1 and ln(1 + e^a) for 0. A ReLU before the sigmoid
    gives p ≥ ½ always. Exact: the range of the last operator, with plain factors behind it; counts where the
    floor exceeds 0.1. Sigmoid and softmax before such a loss are probabilities-as-logits.

    Source: PyTorch manual, torch.nn.CrossEntropyLoss, BCEWithLogitsLoss (2025).
    """
    for one in compared(case):
        if one.term.form not in _OF_LOGITS or not one.term.function:
            continue
        bounds, node = reach(one.structure, one.term.prediction)
        if node is None or node.op in ("sigmoid", "softmax", "hardsigmoid", "log_softmax", "logsigmoid"):
            continue
        floor = _floor(one, bounds)
        if floor > _FLOOR:
            yield about(
                one,
                _CAUSE,
                "critical" if floor > 0.3 else "warning",
                f"{one.term.name} receives the output of {node.op}, {bounds.words}, as scores",
                {"range of the scores": [bounds.low, bounds.high], "classes": one.classes},
                node=node,
                effect=f"the loss cannot fall below {floor:.2f}",
                remedy="end with a linear layer and give its output to the loss",
            )


def _floor(one: Compared, bounds: Range) -> float:
    if one.term.form == "cross-entropy":
        width = bounds.high - bounds.low
        return math.log1p((one.classes - 1) * math.exp(-width)) if one.classes > 1 else 0.0
    floors = [math.log1p(math.exp(-bounds.high)), math.log1p(math.exp(bounds.low))]
    return max(floors)


@rule(_CAUSE)
def weak_scores(case: Case) -> Iterator[Finding]:
    """Class scores pass a ReLU before the softmax of the loss, in a run that goes badly.

    softmax(max(0, x)): classes with x < 0 tie at 0 and get no gradient from below, so a class whose score is
    negative for all samples is lost. Only differences of scores matter, so a net can still learn: counts
    where less than 0.8 of what there is to explain was explained.

    Source: PyTorch manual, torch.nn.CrossEntropyLoss (2025).
    """
    for one in compared(case):
        found = origin(one.structure, one.term.prediction)
        if one.term.form != "cross-entropy" or found.kind != "relu" or one.classes < 2:
            continue
        if goes_badly(case, below=_WELL):
            yield about(
                one,
                _CAUSE,
                "warning",
                f"{found.name} cuts off negative class scores before {one.term.name}",
                {"operators": "… → relu → cross_entropy", "relu at": found.where},
                node=found.node,
                effect="classes with negative scores tie at 0, and no gradient raises them again",
                remedy="give the output of the last linear layer to the loss, without an activation",
            ).but(exact=False, confidence=0.7)
