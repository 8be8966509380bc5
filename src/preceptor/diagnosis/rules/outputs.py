"""Rules: whether the last activation can give what the targets ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._about import about
from preceptor.diagnosis._aims import compared
from preceptor.diagnosis._origins import Origin, origin, reach
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.observation.graph import Node

__all__ = ["one_unit", "range_of_outputs", "silent_classes", "tags_as_classes"]

_CAUSE = "unsuitable-output-activation"
_ERRORS = ("squared error", "absolute error")
_BEYOND = 0.25  # deviations of the target: noise at the edge of a range is less
_FAR = 0.25  # of the span of the targets
_PER_TAG = 0.02
_NEARLY_ALL = 0.95


@rule(_CAUSE, early=True)
def one_unit(case: Case) -> Iterator[Finding]:
    """A softmax over a single unit: e^x / e^x = 1 for every x, with gradient 0.

    Exact: the length of the axis that the softmax runs over, read off the graph, where each sample has one
    number only. Attention over one position does not count: it is no output.

    Source: Bishop, Pattern Recognition and Machine Learning, section 4.3.4 (2006).
    """
    for one in compared(case):
        found = next(
            (part for part in _chain(origin(one.structure, one.term.prediction)) if _alone(part)), None
        )
        if found is not None and found.node is not None:
            yield about(
                one,
                _CAUSE,
                "critical",
                f"{found.name} runs over a single unit, so every prediction is 1",
                {"shape": list(found.node.inputs[0].shape), "axis": found.axis, "softmax at": found.where},
                node=found.node,
                effect="predictions do not depend on the weights, and no gradient reaches them",
                remedy="use a sigmoid for yes/no (better: binary_cross_entropy_with_logits on the score),"
                " nothing for a quantity, or one unit per class",
            )


def _chain(found: Origin | None) -> Iterator[Origin]:
    while found is not None:
        yield found
        found = found.under


def _alone(found: Origin) -> bool:
    if found.kind not in ("softmax", "log_softmax") or found.node is None or not found.axis:
        return False
    shape = found.node.inputs[0].shape
    return math.prod(shape[1:]) == 1


@rule(_CAUSE, early=True)
def range_of_outputs(case: Case) -> Iterator[Finding]:
    """Targets outside the range of the operator that makes the predictions.

    ReLU and softplus give ŷ ≥ 0, sigmoid and softmax 0 < ŷ < 1, tanh and the state of a recurrent net
    −1 < ŷ < 1, multiplied and shifted by plain numbers behind it. With squared or absolute error the part of
    the targets beyond can never be reached, and near the bound the gradient vanishes. Exact but for noise:
    counts where the targets leave the range by more than a quarter of their deviation; critical where that is
    more than a quarter of their span. A bound that is scaled by a learned factor is none.

    Source: Goodfellow, Bengio & Courville, Deep Learning, section 6.2.2 (2016).
    """
    for one in compared(case):
        aim, (bounds, node) = one.aim, reach(one.structure, one.term.prediction)
        if aim is None or node is None or one.term.form not in _ERRORS or not bounds.bounded:
            continue
        below, above = max(bounds.low - aim.low, 0.0), max(aim.high - bounds.high, 0.0)
        if max(below, above) <= _BEYOND * aim.std or max(below, above) == 0:
            continue
        far = (below + above) / max(aim.high - aim.low, 1e-300)
        yield about(
            one,
            _CAUSE,
            "critical" if far > _FAR else "warning",
            f"targets go from {aim.low:.4g} to {aim.high:.4g}, and {node.op} gives {bounds.words} only",
            {"targets from": aim.low, "to": aim.high, "range of the outputs": [bounds.low, bounds.high]},
            node=node,
            effect=f"{min(far, 1):.0%} of the targets' span cannot be reached by any weights",
            remedy="leave the output without an activation, or scale the targets into its range",
        )


@rule(_CAUSE)
def silent_classes(case: Case) -> Iterator[Finding]:
    """Class scores end in a ReLU, and some classes are cut off for all samples.

    The score max(0, x_c) has no gradient for the samples with x_c < 0; where that are all of them, class c
    stays at score 0 for ever, level with every other class that is cut off. Counts where units of the module
    that makes the scores were 0 for all rows of the last look (inactive), or at each of the last three looks
    the layer before had biases with a gradient of exactly 0, for one class or more; and less than 0.95 of
    what there is to explain was explained. Else a net can do with scores above 0: then it is information.

    Source: Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013).
    """
    for one in compared(case):
        found = origin(one.structure, one.term.prediction)
        if one.term.form != "cross-entropy" or found.kind != "relu" or found.node is None or one.classes < 2:
            continue
        lost = round(_cut_off(case, found.node, one.classes) * one.classes)
        hurt = lost > 0 and (case.explained is None or not case.explained >= _NEARLY_ALL)
        words = f", and {lost} of {one.classes} classes get no gradient through it" if lost else ""
        yield about(
            one,
            _CAUSE,
            "warning" if hurt else "info",
            f"{found.name} cuts off negative class scores before {one.term.name}{words}",
            {"operators": "… → relu → cross_entropy", "classes that are cut off": lost},
            node=found.node,
            effect="classes with negative scores tie at 0, and no gradient raises them again",
            remedy="give the output of the last linear layer to the loss, without an activation",
        ).but(exact=False, confidence=0.8 if hurt else 0.5)


def _cut_off(case: Case, relu: Node, classes: int) -> float:
    """The share of classes whose score is 0 for all that was looked at."""
    inactive = case.signal("inactive_units", relu.module)
    dead = float(inactive.values[-1]) if relu.module and len(inactive) else 0.0
    shapes = {p.name: p.shape for graph in case.graphs.values() for p in graph.module_parameters}
    last = [name for name in case.signals("zero_grad_share") if shapes.get(name) == (classes,)]
    shares = case.signal("zero_grad_share", last[-1] if last else "")
    return max(dead, float(shares.values[-3:].min()) if len(shares) >= 3 else 0.0)


@rule(_CAUSE, early=True)
def tags_as_classes(case: Case) -> Iterator[Finding]:
    """A softmax for tags that do not exclude each other.

    Softmax outputs sum to 1, so at most one can exceed ½. Targets of 0 and 1 whose mean times the number of
    columns exceeds 1 have rows with several ones: 1.02 and more counts as exact, since one-hot rows give 1.
    Mixed labels that sum to 1, and the likelihood of several right answers, do not count.

    Source: Bishop, Pattern Recognition and Machine Learning, section 4.3.4 (2006).
    """
    for one in compared(case):
        aim, found = one.aim, origin(one.structure, one.term.prediction)
        if aim is None or found.kind != "softmax" or not aim.binary or aim.one_hot or len(aim.shape) < 2:
            continue
        tags = aim.shape[-1]
        several = aim.mean * tags > 1 + _PER_TAG
        if one.term.form == "likelihood" or one.term.prediction.shape != aim.shape or tags < 2 or not several:
            continue
        yield about(
            one,
            _CAUSE,
            "critical",
            f"{found.name} lets {tags} tags exclude each other, and samples have"
            f" {aim.mean * tags:.2f} of them on average",
            {"tags": tags, "ones per sample": round(aim.mean * tags, 3), "softmax at": found.where},
            node=found.node,
            effect="two tags of a sample can never both exceed one half",
            remedy="use a sigmoid for each tag: binary_cross_entropy_with_logits on the scores",
        )
