"""Rules: where a number stops being one: logarithms and divisions at zero, roots, overflow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis._excess import usual
from preceptor.diagnosis._origins import origin
from preceptor.diagnosis._progress import progress
from preceptor.diagnosis._success import breaks_suddenly
from preceptor.diagnosis._usual import FULL_BATCH
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Floats
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node, Statistics

__all__ = ["first_not_finite", "gradient_not_finite", "lost_between_looks", "operator_at_its_edge"]

_GROWN, _LATEST = 10.0, 5

_UNSAFE = {
    "log": "ln x needs x > 0",
    "log2": "the logarithm needs x > 0",
    "log10": "the logarithm needs x > 0",
    "log1p": "ln(1 + x) needs x > −1",
    "div": "x / 0 is infinite, 0 / 0 is NaN",
    "truediv": "x / 0 is infinite, 0 / 0 is NaN",
    "reciprocal": "1 / 0 is infinite",
    "sqrt": "√x needs x ≥ 0, and its derivative at 0 is infinite",
    "rsqrt": "1/√x needs x > 0",
    "pow": "a fractional power needs x ≥ 0, a negative one x ≠ 0",
    "exp": "eˣ overflows for x > 88.7 in 32 bits",
    "expm1": "eˣ overflows for x > 88.7 in 32 bits",
    "norm": "the derivative of ‖x‖ at 0 is 0/0",
    "vector_norm": "the derivative of ‖x‖ at 0 is 0/0",
    "std": "the derivative of a deviation at 0 is infinite",
    "acos": "acos x needs |x| ≤ 1, and its derivative at the ends is infinite",
    "asin": "asin x needs |x| ≤ 1, and its derivative at the ends is infinite",
    "softmax": "a row of −∞ alone has no softmax",
    "log_softmax": "a row of −∞ alone has no softmax",
}


# ---------------------------------------------------------------------- seen in a recorded step


@rule("numeric-instability", early=True)
def first_not_finite(case: Case) -> Iterator[Finding]:
    """The first operator of a recorded step whose inputs are finite and whose result is not.

    Counts where the step's loss is not finite and the operator is one that has an edge: a logarithm, a
    division, a root, a power, an exponential. Overflow of products with weights that grew belongs to the step
    size; masks of −∞ that a softmax removes again leave the loss finite. Of a logarithm of raw scores the
    scores are the cause.

    Source: PyTorch manual, autograd anomaly detection (2025).
    """
    for step, structure in case.structures.items():
        if not any(_is_bad(loss.statistics) for loss in structure.graph.losses):
            continue
        node = next((n for n in structure.nodes if _breaks(n)), None)
        if node is not None and node.op in _UNSAFE and not _of_raw_scores(structure, node):
            yield _offender(node, step, f"{node.op} is the first operator whose result is not finite")
            return


def _breaks(node: Node) -> bool:
    inputs = [value.statistics for value in node.inputs]
    return (
        bool(inputs)
        and all(s is not None and s.finite for s in inputs)
        and any(_is_bad(value.statistics) for value in node.outputs)
    )


def _is_bad(s: Statistics | None) -> bool:
    return s is not None and not s.finite


def _of_raw_scores(structure: Structure, node: Node) -> bool:
    return node.op == "log" and origin(structure, node.inputs[0]).kind in ("affine", "log_softmax")


@rule("numeric-instability", early=True)
def gradient_not_finite(case: Case) -> Iterator[Finding]:
    """The first operator, going backwards, that makes a gradient infinite or NaN of a finite one.

    √x at 0 has the derivative ∞, and ‖x‖ and a standard deviation at 0 have 0/0, though their values are
    fine; a masked branch of ``where`` passes 0 · ∞ = NaN. Counts where the loss and the gradient that
    reaches the operator's result are finite, and the gradient of what it reads is not.

    Source: PyTorch manual, autograd mechanics, gradients for non-differentiable functions (2025).
    """
    for step, structure in case.structures.items():
        if any(_is_bad(loss.statistics) for loss in structure.graph.losses):
            continue
        for node in reversed(structure.nodes):
            if node.op in _UNSAFE and _breaks_backward(node):
                title = f"the gradient of {node.op} is not finite, though its value is"
                yield _offender(node, step, title)
                return


def _breaks_backward(node: Node) -> bool:
    arrives = [value.gradient for value in node.outputs]
    leaves = [value.gradient for value in node.inputs]
    fine = all(s is not None and s.finite for s in arrives) and bool(arrives)
    return fine and any(_is_bad(s) for s in leaves)


def _offender(node: Node, step: int, title: str) -> Finding:
    given = node.inputs[-1] if node.op in ("div", "truediv") else node.inputs[0]
    s = given.statistics
    return Finding(
        "numeric-instability",
        "critical",
        f"{title}: {_UNSAFE[node.op]}",
        {"operator": node.op, "smallest and largest input": [s.minimum, s.maximum] if s else None},
        exact=True,
        where=node.where,
        layers=(node.module,) if node.module else (),
        steps=(step,),
        effect="from that step on every weight that it reaches is NaN",
    )


# ---------------------------------------------------------------------- a loss that breaks in between


@rule("numeric-instability")
def operator_at_its_edge(case: Case) -> Iterator[Finding]:
    """The loss turned into NaN between recorded steps, and an operator was seen at the edge of its range.

    Counts where the loss did not grow before (its last five values stay below ten times its start), and in
    the last recorded step with a finite loss a logarithm, root, power or divisor had an argument within 10⁻⁶
    of 0 relative to its largest, or an exponential one above 60.

    Source: Zhang et al., Detecting Numerical Bugs in Neural Network Architectures (2020).
    """
    if not breaks_suddenly(case):
        return
    healthy = [s for s in case.structures.values() if not any(_is_bad(v.statistics) for v in s.graph.losses)]
    for structure in healthy[-1:]:
        for node in structure.nodes:
            if _at_edge(structure, node):
                at = case.losses.first_not_finite
                yield _offender(
                    node, at or 0, f"the loss is not finite from step {at} on; {node.op} ran at its edge"
                ).but(exact=False, confidence=0.6)
                return


@rule("invalid-values-in-data", "numeric-instability", "learning-rate-too-high")
def lost_between_looks(case: Case) -> Iterator[Finding]:
    """The loss ends as NaN or infinity, and nobody looked at the step that did it: what is likeliest then.

    Told by what led there. Grown: the loss, or the norm of the gradient, was at ten times its start (median)
    or more before, or the rate is beyond the usual ones, or the method guesses at curvature and so makes
    steps of any length: steps that were too long overflow. Calm: nothing had grown, so weights and outputs
    were ordinary, and one batch or one operator did it: an operator of the program's own that has an edge (a
    logarithm, root, division, power, exponential) where there is one, else a value of the batch that is not
    finite. Never more than a likely guess: what was seen itself comes first.

    Source: Zhang et al., Detecting Numerical Bugs in Neural Network Architectures (2020).
    """
    step, curve = case.losses.first_not_finite, case.losses
    if step is None or bool(np.isfinite(curve.all_values[curve.all_steps >= step]).any()):
        return
    before = curve.values[curve.steps < step]
    if len(case.signal("grad_scale")) or len(before) < 2:
        return  # with a loss scale sixteen bits overflow sooner than anything else
    if any(_is_bad(v.statistics) for s in case.structures.values() for v in s.graph.losses):
        return
    evidence = {
        "first loss that is not finite": step,
        "largest loss before": float(np.abs(before).max()),
        "largest norm of the gradient ÷ its median": _growth(case, step),
    }
    cause, why, remedy = _likeliest(case, before, evidence)
    yield Finding(
        cause,
        "warning",
        f"The loss is not finite any more from step {step} on: {why}.",
        evidence,
        confidence=0.45,
        steps=(step,),
        effect="every weight is lost: nothing after that step is training",
        remedy=remedy,
        against=("the step itself was not looked at: it is a guess from what led there",),
    )


def _likeliest(case: Case, before: Floats, evidence: dict[str, Any]) -> tuple[str, str, str]:
    """The cause, what speaks for it, and a remedy ("" for the cause's own)."""
    way = progress(case)
    grown = float(np.abs(before[-_LATEST:]).max()) >= _GROWN * max(abs(case.losses.start), 1e-12)
    steep = evidence["largest norm of the gradient ÷ its median"] >= _GROWN
    if grown or steep or way.kind in FULL_BATCH or not usual(case):
        return "learning-rate-too-high", "loss, gradient or rate were far above what is usual before", ""
    node = next((n for s in case.structures.values() for n in s.nodes if _own_edge(s, n)), None)
    if node is not None:
        evidence["operator with an edge"] = f"{node.op} at {node.where}"
        words = f"nothing had grown before, and {node.op} has an edge ({_UNSAFE[node.op]})"
        return "numeric-instability", words, ""
    words = "nothing had grown before, so a value of its batch is the likeliest to have been NaN or infinite"
    return (
        "invalid-values-in-data",
        words,
        "check inputs and targets of every batch with torch.isfinite",
    )


def _own_edge(structure: Structure, node: Node) -> bool:
    """Whether an operator has an edge that what it is given could reach; a softmax has none of its own."""
    if node.op not in _UNSAFE or node.op in ("softmax", "log_softmax") or not node.inputs:
        return False
    divides = node.op in ("div", "truediv")
    given = node.inputs[-1] if divides else node.inputs[0]
    return (len(node.inputs) > 1 or not divides) and given.index in structure.learned


def _growth(case: Case, until: int) -> float:
    """The largest norm of the gradient as a multiple of its median, up to a step; NaN where unknown."""
    series = case.signal("total_grad_norm")
    norms = np.asarray(series.values, dtype=float)[np.asarray(series.steps) < until]
    norms = np.where(np.isnan(norms), np.inf, norms)
    middle = float(np.median(norms)) if len(norms) else math.nan
    return float(norms.max()) / middle if math.isfinite(middle) and middle > 0 else math.nan


def _at_edge(structure: Structure, node: Node) -> bool:
    if node.op not in _UNSAFE or not node.inputs:
        return False
    given = node.inputs[-1] if node.op in ("div", "truediv") and len(node.inputs) > 1 else node.inputs[0]
    s = given.statistics
    if s is None or not s.finite or given.index not in structure.learned:
        return False
    if node.op in ("exp", "expm1"):
        return s.maximum > 60
    if node.op in ("div", "truediv"):
        return len(node.inputs) > 1 and s.minimum <= 1e-6 * max(abs(s.maximum), 1e-30)
    edges = ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal")
    return node.op in edges and s.minimum <= 1e-6 * max(abs(s.maximum), 1e-30)
