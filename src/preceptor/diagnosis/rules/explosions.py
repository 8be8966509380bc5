"""Rules: steps that are too long because losses are summed, or because a gradient explodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis._excess import excess, severity_of, usual
from preceptor.diagnosis._order import line_of, stretches
from preceptor.diagnosis._parts import parts_of
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding, Severity
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import LOSSES, Structure
from preceptor.observation.graph import Node, Value

__all__: list[str] = []

_RECURRENT = frozenset({"rnn_tanh", "rnn_relu", "lstm", "gru"})
_UNROLLED = 5  # calls of one layer in one pass, from which on it is a recurrence written out
_SPIKE = 10.0  # times the median norm
_DIVIDES = frozenset({"div", "div_", "truediv", "mean", "nanmean"})
_SCALES = frozenset({"mul", "mul_", "rmul"})
_JUDGED = 20  # steps, before which a run is not judged to go badly
_POOR = 0.5  # explained share of a run that goes badly


def _goes_badly(case: Case) -> bool:
    """Whether the loss ends not finite, hardly better than a constant prediction, or hardly lower."""
    if case.diverged or not math.isfinite(case.losses.end):
        return True
    if case.explained is not None:
        return case.explained < _POOR
    return case.improved < 0.2


# ---------------------------------------------------------------------- sums


def _blamed(case: Case, factor: int, *, bad: bool) -> tuple[Severity, float]:
    """How bad a sum is and how sure that is: most where the larger part of what is beyond usual is its."""
    beyond = excess(case)
    if beyond * factor > 1 and factor > beyond:
        return severity_of(case) if bad else "info", 0.9
    return "warning" if bad and (case.diverged or beyond * factor > 1) else "info", 0.65


@rule("loss-reduction")
def summed_loss(case: Case) -> Iterator[Finding]:
    """Name a loss that adds up the samples of a batch, in a run that it makes swing or diverge.

    With L = Σ_{i ≤ B} ℓ_i the step is η Σ ∇ℓ_i: B times that of the mean, so the rate in effect is η B. From
    the graph: between the samples and the loss there is a sum over the axis of the batch and no division.
    Only together with plain SGD without clipping (methods that divide by the gradient's size cancel B), a
    batch of more than one, and a run that goes badly; else a sum is a matter of taste (evidence bounds).
    Where η B is beyond the usual rates, and by more than η alone is (B > η / η_usual), the sum is a likelier
    explanation than the rate; where η B is a usual rate, only a run that diverges counts.
    Goyal et al., Accurate, Large Minibatch SGD (2017).
    """
    found = next(((s, n) for s in case.structures.values() if (n := _summed(s)) is not None), None)
    called = case.loss_call
    batch, where, how = 0, "", ""
    if found is not None:
        batch, where, how = _length(found[1]), found[1].where, f"{found[1].op} over the batch"
    elif called is not None and called["reduction"] == "sum" and not _divided(case):
        batch, where, how = (called.shape() or (0,))[0], called.where, "reduction='sum'"
    if batch < 2 or not _heeds_scale(case):
        return
    rate = max((float(np.max(s.values)) for s in case.signals("lr").values() if len(s)), default=math.nan)
    severity, confidence = _blamed(case, batch, bad=_goes_badly(case))
    yield Finding(
        "loss-reduction",
        severity,
        f"The loss is a sum over {batch} samples: with SGD its steps are {batch} times as long as those of"
        " the mean.",
        {"summed by": how, "samples in a batch": batch, "learning rate": rate, "in effect": rate * batch},
        confidence=confidence,
        where=where,
        steps=(0,),
        effect=f"the learning rate is {rate * batch:.3g} in effect, and grows with the batch",
        remedy="average over the samples (mean() or reduction='mean')",
        against=("a smaller learning rate would do as well",),
    )


def _summed(structure: Structure) -> Node | None:
    """The sum over the batch that makes the loss, with nothing that divides after it."""
    loss = structure.graph.loss
    if loss is None:
        return None
    for node in structure.chain(loss):
        if node.op in _DIVIDES or node.op in LOSSES or (node.op in _SCALES and _by_number(node)):
            return None
        if node.op == "sum" and node.inputs and node.inputs[0].shape:
            inner, outer = node.inputs[0].shape, node.outputs[0].shape if node.outputs else ()
            if inner[0] > 1 and (not outer or outer[0] != inner[0]):
                return node
    return None


def _by_number(node: Node) -> bool:
    """Whether a product has a plain number as its other factor."""
    return len(node.inputs) == 1


def _length(node: Node) -> int:
    return node.inputs[0].shape[0]


def _divided(case: Case) -> bool:
    """Whether the value of the loss function is divided on its way to backward."""
    structure = case.structure
    loss: Value | None = None if structure is None else structure.graph.loss
    if structure is None or loss is None:
        return True
    for node in structure.chain(loss):
        if node.op in LOSSES:
            return False
        if node.op in _DIVIDES or (node.op in _SCALES and _by_number(node)):
            return True
    return False


def _heeds_scale(case: Case) -> bool:
    """Whether the length of a step grows with that of the gradient, and nothing bounds it."""
    classes = {str(optimizer.get("class")) for optimizer in case.optimizers} or {"SGD"}
    return classes == {"SGD"} and not len(case.signal("clip_norm"))


@rule("loss-reduction")
def undivided_accumulation(case: Case) -> Iterator[Finding]:
    """Name k backward passes for one step whose losses are not divided by k.

    The optimizer is given Σ_{j ≤ k} ∇L_j in place of their mean: the rate in effect is η k. From the order of
    calls: k passes from one line, each after a forward pass of its own, then a step; from the graph: no
    division between loss function and backward. As above only with plain SGD and a run that goes badly (from
    20 steps on, or diverging before), else as information. Goyal et al. (2017).
    """
    passes, line = _accumulated(case)
    if passes < 2 or _divided(case) or not _heeds_scale(case):
        return
    bad = case.diverged or (len(case.losses) >= _JUDGED and _goes_badly(case))
    severity, confidence = _blamed(case, passes, bad=bad)
    yield Finding(
        "loss-reduction",
        severity,
        f"Gradients of {passes} batches are added up for each step, and the loss is not divided by {passes}.",
        {"backward passes for each step": passes},
        confidence=confidence,
        where=line,
        effect=f"with SGD the learning rate is {passes} times as high in effect",
        remedy=f"call (loss / {passes}).backward()",
        against=("a smaller learning rate would do as well",),
    )


def _accumulated(case: Case) -> tuple[int, str]:
    """How many backward passes from one line, each after a forward pass, most steps have; and the line."""
    most: dict[tuple[int, str], int] = {}
    for stretch in stretches(case):
        line, passes, fresh = "", 0, False
        for event in stretch.events:
            if event.kind == "forward" and event.grad:
                fresh = True
            elif event.kind == "backward" and fresh:
                passes, line, fresh = passes + (event.where in ("", line) or not line), event.where, False
        key = passes, line
        most[key] = most.get(key, 0) + stretch.repeats
    return max(most, key=lambda key: most[key], default=(0, ""))


# ---------------------------------------------------------------------- explosions


@rule("missing-gradient-clipping")
def explosion_without_clipping(case: Case) -> Iterator[Finding]:
    """Name a gradient that explodes in a recurrence, is not clipped, and spoils the run.

    Through T steps of a recurrence the gradient is multiplied by T Jacobians; where their norm exceeds 1 it
    grows exponentially, at rare places. Named where the net has a recurrence, nothing is clipped, the norm of
    the gradient was at least 10 times its median at some step (or not finite), and the run goes badly.
    Critical where it leaves nothing learned at a usual rate: then the gradient is what is exceptional, not
    the rate. Without a recurrence a rate that is too high is likelier. Pascanu, Mikolov & Bengio, On the
    Difficulty of Training Recurrent Neural Networks (2013).
    """
    norms = case.signal("total_grad_norm")
    if len(norms) < 3 or not _goes_badly(case) or not _recurrent(case) or line_of(case, "clip"):
        return
    values = np.asarray(norms.values, dtype=float)
    finite = values[np.isfinite(values)]
    median = float(np.median(finite)) if len(finite) else math.nan
    place = int(np.argmax(np.where(np.isfinite(values), values, np.inf)))
    largest, step = float(values[place]), int(norms.steps[place])
    if not (largest >= _SPIKE * median > 0) and math.isfinite(largest):
        return
    evidence: dict[str, Any] = {
        "largest norm of the gradient": largest,
        "median norm": median,
        "at step": step,
        "calls that clip": 0,
    }
    if case.explained is not None:
        evidence["explained at the end"] = round(case.explained, 3)
    yield Finding(
        "missing-gradient-clipping",
        severity_of(case) if usual(case) else "warning",
        f"The gradient explodes to {largest:.2g} at step {step} ({largest / median:.2g} times its median),"
        " and nothing clips it."
        if math.isfinite(largest)
        else f"The gradient is not finite at step {step}, and nothing clips it.",
        evidence,
        confidence=0.85 if largest >= _SPIKE**2 * median or not math.isfinite(largest) else 0.6,
        where=line_of(case, "step"),
        steps=(step,),
        effect="one step of that length throws the weights to where the recurrence is saturated",
        remedy="call torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward and step",
        against=() if largest >= _SPIKE**2 * median else ("a smaller learning rate may do as well",),
    )


def _recurrent(case: Case) -> bool:
    """Whether a recurrent layer runs, or one layer many times in a pass."""
    for graph in case.graphs.values():
        if any(node.op in _RECURRENT or node.op.endswith("_cell") for node in graph.nodes):
            return True
    return any(layer.most >= _UNROLLED for layer in parts_of(case).layers)
