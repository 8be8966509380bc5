"""Rules: what enters the loss: probabilities, scores or logarithms, and shapes that stretch each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._aims import Compared, compared
from preceptor.diagnosis._origins import SQUASHING, Origin, origin
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.observation.graph import Node, Value

__all__ = ["logits_as_probabilities", "probabilities_as_logits"]

_OF_LOGITS = ("cross-entropy", "binary cross-entropy of logits")
_OF_PROBABILITIES = ("binary cross-entropy",)
_OFF = 1e-2  # log Σ exp x of log-probabilities is 0 up to rounding and guards
_UNBOUNDED = frozenset({"affine", "add", "mul", "sub", "div", "layer_norm", "batch_norm", "dropout"})
_ELEMENTWISE = frozenset({"sub", "sub_", "rsub", "subtract", "mul", "multiply", "rmul", "div", "truediv"})


# ---------------------------------------------------------------------- squashed twice


@rule("probabilities-as-logits", early=True)
def probabilities_as_logits(case: Case) -> Iterator[Finding]:
    """A softmax or sigmoid stands before something that applies one itself.

    ``cross_entropy`` computes −ln softmax(x)_y. For x = p with p ∈ [0, 1]ᶜ the least it can be is
    ln(1 + (C − 1)/e) (p_y = 1, the others 0); the yes/no form has the floor ln(1 + 1/e) = 0.313 for 1 and
    ln 2 for 0. The gradient passes two squashing derivatives. Exact: read off the graph; where no step was
    recorded, from rows that lie in [0, 1] and sum to 1. log_softmax before ``cross_entropy`` changes nothing
    and does not count, nor does a bounded score that is multiplied by a temperature first.

    Source: PyTorch manual, torch.nn.CrossEntropyLoss (2025).
    """
    for one in compared(case):
        squashed = _squashed_twice(one)
        if squashed is not None:
            yield _double(one, squashed)
    if case.structure is None:
        yield from _double_by_values(case)


def _squashed_twice(one: Compared) -> Origin | None:
    found = origin(one.structure, one.term.prediction)
    if one.term.form in _OF_LOGITS and one.term.function:
        inner = found.under if found.kind == "share" else found
        return inner if inner is not None and inner.kind in SQUASHING else None
    outer = found.under if found.kind == "log" else found
    if outer is None or outer.kind not in (*SQUASHING, "log_softmax") or outer.under is None:
        return None
    return outer.under if outer.under.kind in SQUASHING else None


def _double(one: Compared, squashed: Origin) -> Finding:
    classes = _classes(one.term.prediction)
    evidence: dict[str, Any] = {
        "operators": f"… → {squashed.kind} → {one.term.name}",
        f"{squashed.kind} at": squashed.where,
    }
    off, steps = one.worst("row_sum_off"), len(one.rows) or len(one.steps)
    if squashed.kind == "softmax" and off < _OFF:
        evidence["rows sum to"] = f"1 ± {off:.0e} at {steps} of {steps} calls that were looked at"
    return Finding(
        "probabilities-as-logits",
        "critical",
        f"{one.term.name} receives the output of {squashed.name} and squashes it a second time",
        evidence,
        exact=True,
        where=one.term.where,
        layers=_layers(squashed.node),
        steps=one.steps,
        effect=_floor(one, classes),
        remedy=f"give the scores before {squashed.kind} to the loss; use {squashed.kind} only to show"
        " probabilities",
    )


def _floor(one: Compared, classes: int) -> str:
    if one.term.form == "cross-entropy" and classes > 1:
        floor = math.log(1 + (classes - 1) / math.e)
        return f"the loss cannot fall below {floor:.2f} with {classes} classes"
    if one.term.form == "binary cross-entropy of logits":
        return "the loss cannot fall below 0.31 for targets of 1 and 0.69 for targets of 0"
    return "gradients pass two squashing derivatives, and the outputs cannot become certain"


def _double_by_values(case: Case) -> Iterator[Finding]:
    """Without a graph: every row of a cross-entropy's input is a distribution."""
    calls = [c for c in case.loss_calls if c.phase == "train" and c.function == "cross_entropy"]
    classes = {c.shape()[1] for c in calls if len(c.shape()) > 1}
    if len(calls) < 2 or not classes or min(classes) < 2:
        return
    off = max(c.number("row_sum_off") for c in calls)
    if off < 1e-4 and all(c.number("in_unit") == 1.0 for c in calls):
        floor = math.log(1 + (min(classes) - 1) / math.e)
        yield Finding(
            "probabilities-as-logits",
            "critical",
            f"cross_entropy receives probabilities: all rows lie in [0, 1] and sum to 1 ± {off:.0e}",
            {"calls": len(calls), "largest distance of a row's sum from 1": off},
            confidence=0.95,
            where=calls[0].where,
            effect=f"the loss cannot fall below {floor:.2f} with {min(classes)} classes",
        )


# ---------------------------------------------------------------------- raw scores as probabilities


@rule("logits-as-probabilities", early=True)
def logits_as_probabilities(case: Case) -> Iterator[Finding]:
    """A loss of probabilities or their logarithms is given scores that no softmax or sigmoid has made.

    ``nll_loss`` is −x_y: it is a likelihood only where log Σⱼ exp xⱼ = 0, else it falls without bound as all
    scores grow. −ln x_y needs 0 < x ≤ 1; the logarithm of a raw score is NaN as soon as it is negative, and
    where it is clamped no gradient passes. Exact: what made the input, read off the graph; for ``nll_loss``
    also max |log Σ exp x| over the rows, which must be 0. log_softmax, log of a softmax, of shares of a sum,
    and a mixture's logsumexp do not count.

    Source: PyTorch manual, torch.nn.NLLLoss (2025); Goodfellow, Bengio & Courville, Deep Learning, 6.2
    (2016).
    """
    for one in compared(case):
        found = origin(one.structure, one.term.prediction)
        if one.term.function in ("nll_loss", "kl_div"):
            yield from _not_logarithms(one, found)
        elif one.term.form in ("likelihood", "binary cross-entropy") and found.kind == "affine":
            yield _raw_in_logarithm(one, found)


def _not_logarithms(one: Compared, found: Origin) -> Iterator[Finding]:
    off = one.worst("row_exp_sum_off")
    if off < _OFF or found.kind in ("log_softmax", "log"):
        return
    if found.kind in SQUASHING or found.kind == "share":
        yield _likelihood(one, found, off, f"probabilities ({found.name}) and not their logarithms", 1.0)
    elif one.term.function == "nll_loss" and found.kind in ("affine", "relu", "tanh"):
        yield _likelihood(one, found, off, f"raw scores ({found.name})", 1.0)
    elif one.term.function == "nll_loss" and found.kind in _UNBOUNDED and off > 0.1:
        yield _likelihood(one, found, off, f"scores that are no log-probabilities ({found.name})", 0.8)


def _likelihood(one: Compared, found: Origin, off: float, what: str, confidence: float) -> Finding:
    evidence: dict[str, Any] = {"operators": f"… → {found.kind} → {one.term.name}"}
    if not math.isnan(off):
        evidence["largest |log Σ exp x| of a row"] = round(off, 4)
        evidence["expected"] = 0
    bounded = found.kind in SQUASHING or found.kind == "share"
    return Finding(
        "logits-as-probabilities",
        "critical",
        f"{one.term.name} expects log-probabilities and receives {what}",
        evidence,
        confidence=confidence,
        exact=confidence == 1.0,
        where=one.term.where,
        layers=_layers(found.node),
        steps=one.steps,
        effect="the loss is linear in the probabilities: wrong answers given with certainty hardly count"
        if bounded
        else "the loss has no lower bound: it falls as long as all scores grow, whatever the targets are",
        remedy="use log_softmax (dim=1) as the output, or cross_entropy on the raw scores",
    )


def _raw_in_logarithm(one: Compared, found: Origin) -> Finding:
    low = one.term.prediction.statistics
    evidence: dict[str, Any] = {"operators": f"… → {found.kind} → log", "scores from": found.where}
    if low is not None:
        evidence["smallest and largest score"] = [round(low.minimum, 4), round(low.maximum, 4)]
    binary = one.term.form == "binary cross-entropy"
    return Finding(
        "logits-as-probabilities",
        "critical",
        f"{one.term.name} takes the logarithm of raw scores ({found.name}) as if they were probabilities",
        evidence,
        exact=True,
        where=one.term.where,
        layers=_layers(found.node),
        steps=one.steps,
        effect="a score below 0 has no logarithm (NaN), or is clamped and passes no gradient",
        remedy="use binary_cross_entropy_with_logits on the scores"
        if binary
        else "use cross_entropy on the scores, or log_softmax before picking",
    )


# ---------------------------------------------------------------------- shared


def _classes(value: Value) -> int:
    if not value.shape:
        return 0
    return value.shape[1] if len(value.shape) > 1 else value.shape[0]


def _layers(node: Node | None) -> tuple[str, ...]:
    return (node.module,) if node is not None and node.module else ()
