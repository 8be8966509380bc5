"""Rules: logarithms of probabilities that nothing keeps away from zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from preceptor.diagnosis._success import breaks_suddenly
from preceptor.diagnosis._terms import GUARDS, PICKS, one_minus
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import REARRANGING, Structure
from preceptor.observation.graph import Node, Statistics, Value

__all__ = ["logarithm_near_zero"]

_ONE = {"float32": 16.6, "float64": 36.7, "float16": 7.6, "bfloat16": 5.5}  # σ(x) rounds to 1 beyond
_ZERO = {"float32": 88.0, "float64": 708.0, "float16": 16.6, "bfloat16": 88.0}  # e^(−x) is 0 beyond
_NEAR = 0.6


@dataclass(frozen=True)
class _Bare:
    """A logarithm of a probability that nothing keeps away from 0."""

    node: Node
    squash: Node
    complement: bool

    @property
    def edge(self) -> float:
        """The score beyond which the probability is exactly 0 in its precision."""
        table = _ONE if self.complement else _ZERO
        return table.get(self.squash.outputs[0].dtype, table["float32"])


@rule("numeric-instability")
def logarithm_near_zero(case: Case) -> Iterator[Finding]:
    """A logarithm of a bare sigmoid or softmax, whose scores come near the point where it is exactly 0.

    In 32 bits σ(x) rounds to 1 for x > 16.6, so ln(1 − σ(x)) = −∞, and −∞ · 0 for the other class is NaN; ln
    σ(x) and ln softmax(x) follow below −88. Counts where nothing (clamp, eps) guards the logarithm, and the
    scores that were seen reached 0.6 of that edge, or the loss ended as NaN without having grown before.
    Forms that take the scores themselves (…_with_logits, log_softmax, logsigmoid) have no such edge.

    Source: Blanchard, Higham & Higham, Accurately Computing the Log-Sum-Exp and Softmax Functions (2021).
    """
    structure = case.structure
    if structure is None:
        return
    found = [bare for node in structure.nodes if (bare := _bare(structure, node)) is not None]
    found.sort(key=lambda bare: bare.edge)
    broken = breaks_suddenly(case)
    for bare in found[:4]:
        score = _largest_score(case, bare)
        if score >= _NEAR * bare.edge or (broken and bare.complement):
            yield _near(case, bare, score, broken)
            return


def _bare(structure: Structure, node: Node) -> _Bare | None:
    if node.op not in ("log", "log2", "log10") or node.inputs[0].index not in structure.learned:
        return None
    value, complement = node.inputs[0], False
    while (made := value.producer) is not None and made.inputs:
        if made.op in ("sigmoid", "softmax") and made.outputs[0].shape != ():
            return _Bare(node, made, complement)
        inner = one_minus(value)
        if inner is not None:
            complement = not complement
        elif made.op in GUARDS or made.op not in REARRANGING | PICKS:
            return None
        value = inner if inner is not None else made.inputs[0]
    return None


def _largest_score(case: Case, bare: _Bare) -> float:
    """The largest magnitude of the scores seen: in recorded steps, and of the layer that made them."""
    scores = bare.squash.inputs[0]
    seen = [0.0]
    for structure in case.structures.values():
        same = [n for n in structure.nodes if n.op == bare.squash.op and n.where == bare.squash.where]
        seen += [_reach(node.inputs[0].statistics, bare) for node in same]
    layer = _layer_of(scores)
    if layer:
        high, low = case.signal("act_max", layer).values, case.signal("act_min", layer).values
        pairs = zip(low.tolist(), high.tolist(), strict=False)
        seen += [_reach(Statistics(a, b, 0.0, 0.0), bare) for a, b in pairs]
    return max(score for score in seen if math.isfinite(score))


def _reach(s: Statistics | None, bare: _Bare) -> float:
    if s is None:
        return 0.0
    if bare.squash.op == "softmax":
        return s.maximum - s.minimum
    return s.maximum if bare.complement else -s.minimum


def _layer_of(value: Value) -> str:
    node = value.producer
    while node is not None and node.op in REARRANGING and node.inputs:
        node = node.inputs[0].producer
    return node.module if node is not None else ""


def _near(case: Case, bare: _Bare, score: float, broken: bool) -> Finding:
    what = f"ln(1 − {bare.squash.op})" if bare.complement else f"ln {bare.squash.op}"
    at = case.losses.first_not_finite
    evidence: dict[str, Any] = {
        "operator": what,
        "largest score seen": round(score, 2),
        "scores beyond which it is −∞": bare.edge,
    }
    return Finding(
        "numeric-instability",
        "critical" if broken else "warning",
        f"the loss takes {what} unguarded: "
        + (
            f"it is not finite from step {at} on"
            if broken
            else f"scores reach {score:.1f}, and beyond {bare.edge:.1f} it is −∞"
        ),
        evidence,
        confidence=0.9 if broken else 0.8,
        where=bare.node.where,
        steps=(at,) if broken and at is not None else (),
        effect="one sample that is classified with certainty makes the loss and then every weight NaN",
        remedy="compute the loss from the scores: binary_cross_entropy_with_logits or cross_entropy",
    )
