"""Editors of the loss itself: the shapes that meet in it, its sum, its sign."""

from __future__ import annotations

import ast
import re

from preceptor.trials.patches._source import Edit, Unclear, only
from preceptor.trials.patches._spot import Spot

__all__ = ["mean_of_loss", "minimised", "same_shape"]

_TARGETS = re.compile(
    r"^(y|yb|ys|t|tb|target|label|truth|true|gold|answer)(s|_?batch|_?\d|_.*)?$", re.IGNORECASE
)
_OUTPUTS = re.compile(r"pred|out|logit|score|y_?hat|model|net\b|net\(", re.IGNORECASE)


def same_shape(spot: Spot) -> list[Edit]:
    """Take the last axis, of length 1, from the side of the loss that has it."""
    evidence = spot.finding.evidence
    prediction, target = (list(evidence.get(side) or []) for side in ("prediction", "target"))
    output, given = _sides(spot)
    if prediction == [*target, 1]:
        return spot.source.append(output, ".squeeze(-1)")
    if target == [*prediction, 1]:
        return spot.source.append(given, ".squeeze(-1)")
    raise Unclear


def _sides(spot: Spot) -> tuple[ast.expr, ast.expr]:
    """Return what stands for prediction and target in the loss on the named line.

    Raises:
        Unclear: their names do not tell.
    """
    found = [
        pair
        for node in spot.source.nodes
        if isinstance(node, (ast.Call, ast.BinOp)) and spot.lines and node.lineno == spot.lines[0]
        for pair in _ordered(spot, node)
    ]
    return only(found)


def _ordered(spot: Spot, node: ast.Call | ast.BinOp) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.BinOp):
        pair = (node.left, node.right) if isinstance(node.op, ast.Sub) else None
    else:
        values = [*node.args, *(k.value for k in node.keywords if k.arg in ("input", "target"))]
        pair = (values[0], values[1]) if len(values) >= 2 else None
    if pair is None:
        return []
    told = [_is_target(spot, side) - _is_output(spot, side) for side in pair]
    if told[0] < told[1]:
        return [pair]
    return [(pair[1], pair[0])] if told[0] > told[1] else []


def _is_target(spot: Spot, node: ast.expr) -> bool:
    return any(
        _TARGETS.match(n.id) is not None and not _OUTPUTS.search(n.id)
        for n in ast.walk(node)
        if isinstance(n, ast.Name)
    )


def _is_output(spot: Spot, node: ast.expr) -> bool:
    return _OUTPUTS.search(spot.source.code(node)) is not None


def mean_of_loss(spot: Spot) -> list[Edit]:
    """Average in place of a sum; divide by the number of batches that are accumulated."""
    source, passes = spot.source, spot.finding.evidence.get("backward passes for each step")
    if isinstance(passes, int):
        backward = spot.backward
        loss = backward.func.value if isinstance(backward.func, ast.Attribute) else backward
        if not isinstance(loss, ast.Name) or source.covers(loss, -1):
            raise Unclear
        return [source.replace(loss, f"({loss.id} / {passes})")]
    quoted = [
        keyword.value
        for node in source.nodes
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "reduction"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value == "sum"
    ]
    if quoted:
        quote = source.code(quoted[0])[0]
        return [source.replace(only(quoted), f"{quote}mean{quote}")]
    sums = [
        c
        for c in spot.at(source.calls("sum"))
        if isinstance(c, ast.Call) and isinstance(c.func, ast.Attribute)
    ]
    call = only(c for c in sums if not c.keywords and len(c.args) <= 1)
    if call.args and not source.code(call.func) == "torch.sum":  # over one axis
        raise Unclear
    end = source.end(call.func)
    return [Edit(end - len("sum"), end, "mean")]


def minimised(spot: Spot) -> list[Edit]:
    """Take the minus before the loss away, or maximize=True."""
    source = spot.source
    said = [
        keyword.value
        for call in spot.optimizers
        for keyword in call.keywords
        if keyword.arg == "maximize"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
    ]
    if said:
        return [source.replace(only(said), "False")]
    backward = source.statement(spot.backward)
    turned = [
        node
        for node in source.nodes
        if isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and not isinstance(node.operand, ast.Constant)
        and (source.statement(node) is backward or spot.at([node]) or _is_loss(spot, node))
    ]
    outer = only(turned)
    if not isinstance(outer.operand, (ast.Call, ast.Name)):
        raise Unclear
    return [source.unwrap(outer, outer.operand)]


def _is_loss(spot: Spot, node: ast.expr) -> bool:
    """Whether it is assigned to what backward starts from."""
    start = spot.backward.func.value if isinstance(spot.backward.func, ast.Attribute) else None
    parent = spot.source.parents[node]
    return (
        isinstance(start, ast.Name)
        and isinstance(parent, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == start.id for target in parent.targets)
    )
