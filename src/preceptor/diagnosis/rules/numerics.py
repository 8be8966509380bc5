"""Rules: where a number stops being one: logarithms and divisions at zero, roots, overflow."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis._origins import origin
from preceptor.diagnosis._success import breaks_suddenly
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node, Statistics

__all__ = ["first_not_finite", "gradient_not_finite", "operator_at_its_edge"]

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
