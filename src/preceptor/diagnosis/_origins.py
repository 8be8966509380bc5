"""Which operator gave a value its numbers, and in which range they can lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

from preceptor.diagnosis._options import axes_of, named, normalised_axis, numbers
from preceptor.diagnosis._terms import stripped
from preceptor.diagnosis.structure import AFFINE, BOUNDED, REARRANGING, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["SQUASHING", "Origin", "Range", "in_model", "origin", "reach"]

SQUASHING = frozenset({"softmax", "sigmoid"})
"""Kinds whose numbers are probabilities."""

_SAME = {
    "hardsigmoid": "sigmoid",
    "expit": "sigmoid",
    "sigmoid_": "sigmoid",
    "special_expit": "sigmoid",
    "softmax_": "softmax",
    "tanh_": "tanh",
    "relu_": "relu",
    "clamp_": "clamp",
    "exp_": "exp",
    "log_": "log",
    "log_sigmoid": "logsigmoid",
}
_DIVISIONS = frozenset({"div", "div_", "truediv", "divide"})
_RECURRENT = {"lstm": (-1.0, 1.0), "gru": (-1.0, 1.0), "rnn_tanh": (-1.0, 1.0), "rnn_relu": (0.0, math.inf)}
_DEPTH = 8


@dataclass(frozen=True)
class Origin:
    """What made a value.

    Attributes:
        kind: "affine", "softmax", "log_softmax", "sigmoid", "log", "share" (divided by its own sum), "exp",
            or the operator's name.
        node: the operator; None for what entered the step.
        under: what made that operator's input; None where it does not matter.
        axis: over which a softmax, log-softmax or share is normalised.
    """

    kind: str
    node: Node | None
    under: Origin | None = None
    axis: int | None = None

    @property
    def where(self) -> str:
        """The user's line."""
        return self.node.where if self.node is not None else ""

    @property
    def name(self) -> str:
        """The operator and the module that it stands in."""
        if self.node is None:
            return self.kind
        return f"{self.kind} ({self.node.module})" if self.node.module else self.kind


@dataclass(frozen=True)
class Range:
    """Between which bounds values can lie, whatever the weights."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def bounded(self) -> bool:
        """Whether there is a bound at all."""
        return self.low > -math.inf or self.high < math.inf

    @property
    def words(self) -> str:
        """The range as text."""
        if self.high == math.inf:
            return f"{self.low:.4g} and more"
        return f"{self.high:.4g} and less" if self.low == -math.inf else f"{self.low:.4g} … {self.high:.4g}"

    def scaled(self, factor: float, shift: float = 0.0) -> Range:
        """Return the range of ``factor · x + shift``.

        Example:
            >>> Range(0.0, 1.0).scaled(-2.0, 1.0)
            Range(low=-1.0, high=1.0)
        """
        ends = sorted((_times(factor, self.low) + shift, _times(factor, self.high) + shift))
        return Range(*ends)


def origin(structure: Structure, value: Value, depth: int = _DEPTH) -> Origin:
    """Return what made a value, through guards and what only rearranges or picks.

    softmax written by hand counts as softmax: exp x / Σ exp x is a "share" whose numerator is "exp".
    """
    value, _ = stripped(structure, value)
    node = value.producer
    if node is None or depth == 0:
        return Origin(value.kind, None)
    kind = _SAME.get(node.op, node.op)
    inner = node.inputs[0] if node.inputs else value
    if kind in ("softmax", "log_softmax"):
        return Origin(kind, node, origin(structure, inner, depth - 1), normalised_axis(node))
    if kind in ("sigmoid", "log", "exp", "tanh", "relu"):
        return Origin(kind, node, origin(structure, inner, depth - 1))
    if kind == "logsigmoid":
        under = Origin("sigmoid", node, origin(structure, inner, depth - 1))
        return Origin("log", node, under)
    if kind in AFFINE:
        return Origin("affine", node)
    return _composed(structure, node, kind, depth)


def _composed(structure: Structure, node: Node, kind: str, depth: int) -> Origin:
    share = _share(structure, node, depth)
    if share is not None:
        return share
    if kind in ("sub", "subtract") and len(node.inputs) == 2:
        second = node.inputs[1].producer
        if second is not None and second.op == "logsumexp" and second.inputs[:1] == node.inputs[:1]:
            axes = axes_of(second, len(node.inputs[0].shape))
            return Origin("log_softmax", node, None, next(iter(axes), None))
    return Origin(kind, node)


def _share(structure: Structure, node: Node, depth: int) -> Origin | None:
    """What is divided by its own sum, x / Σ x, or by the sum of its magnitudes."""
    if node.op == "normalize" and _first_power(node) == 1.0:
        inner = node.inputs[0]
        axes = axes_of(node, len(inner.shape)) or (1,)
        return Origin("share", node, origin(structure, inner, depth - 1), axes[0])
    if node.op not in _DIVISIONS or len(node.inputs) != 2:
        return None
    above, below = node.inputs
    below, _ = stripped(structure, below)
    total = below.producer
    if total is None or total.op != "sum" or not total.inputs or not _same(total.inputs[0], above):
        return None
    under = origin(structure, above, depth - 1)
    axis = next(iter(axes_of(total, len(above.shape))), None)
    if under.kind == "exp":
        return Origin("softmax", node, under.under, axis)
    return Origin("share", node, under, axis)


def _same(first: Value, second: Value) -> bool:
    """Whether two values are one, or the same operator of the same input twice, as in eˣ / Σ eˣ."""
    a, b = first.producer, second.producer
    if first is second or a is None or b is None:
        return first is second
    return a.op == b.op and a.inputs == b.inputs and a.options == b.options and not a.random


def _first_power(node: Node) -> float:
    text = named(node).get("p", "2")
    return next(iter(numbers(node)), float(text) if text.replace(".", "", 1).isdigit() else 2.0)


def in_model(structure: Structure, node: Node) -> bool:
    """Return whether an operator ran within a module that has parameters, and not in the loss's own code."""
    if not node.module_type:
        return False
    prefix = f"{node.module}." if node.module else ""
    return any(p.name.startswith(prefix) for p in structure.graph.module_parameters)


# ---------------------------------------------------------------------- ranges


def reach(structure: Structure, value: Value) -> tuple[Range, Node | None]:
    """Return the range of a value and the operator that bounds it; an unbounded range and None without one.

    Followed through what rearranges and through products and sums with plain numbers: a · tanh x + b lies in
    [b − |a|, b + |a|].
    """
    factor, shift = 1.0, 0.0
    for _ in range(4 * _DEPTH):
        node = value.producer
        if node is None or not node.inputs:
            break
        bounds = BOUNDED.get(_SAME.get(node.op, node.op)) or _RECURRENT.get(node.op) or _clamped(node)
        if bounds is not None:
            return Range(*bounds).scaled(factor, shift), node
        step = _linear(structure, node)
        if step is None:
            break
        value, times, plus = step
        factor, shift = factor * times, shift + factor * plus
    return Range(), None


def _linear(structure: Structure, node: Node) -> tuple[Value, float, float] | None:
    """The one learned input of an operator that multiplies it by a number and adds one; with both numbers."""
    learned = [v for v in node.inputs if v.index in structure.learned]
    if len(learned) != 1:
        return None
    if node.op in REARRANGING or node.op == "gather":
        return learned[0], 1.0, 0.0
    constants = numbers(node)
    if len(node.inputs) != 1 or len(constants) != 1:
        return None
    number = constants[0]
    rules = {
        "mul": (number, 0.0),
        "rmul": (number, 0.0),
        "div": (1 / number if number else math.nan, 0.0),
        "add": (1.0, number),
        "radd": (1.0, number),
        "sub": (1.0, -number),
        "rsub": (-1.0, number),
    }
    rule = rules.get(node.op)
    return None if rule is None or math.isnan(rule[0]) else (learned[0], *rule)


def _clamped(node: Node) -> tuple[float, float] | None:
    if node.op not in ("clamp", "clip", "clamp_", "clip_", "hardtanh"):
        return None
    given = named(node)
    ends = []
    for names, missing in ((("min", "min_val", "0"), -math.inf), (("max", "max_val", "1"), math.inf)):
        text = next((given[name] for name in names if name in given), "")
        try:
            ends.append(float(text))
        except ValueError:
            ends.append(missing)
    return ends[0], ends[1]


def _times(factor: float, end: float) -> float:
    return 0.0 if factor == 0 else factor * end
