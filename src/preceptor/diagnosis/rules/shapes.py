"""Rules: shapes that stretch each other where predictions meet targets."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis._aims import Compared, compared, labels_over_classes
from preceptor.diagnosis._origins import in_model, origin
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule
from preceptor.diagnosis.structure import LOSSES, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["broadcast_in_loss"]

_ELEMENTWISE = frozenset({"sub", "sub_", "rsub", "subtract", "mul", "multiply", "rmul", "div", "truediv"})


@rule("broadcast-in-loss", early=True)
def broadcast_in_loss(case: Case) -> Iterator[Finding]:
    """Predictions and targets of equal number but different rank are stretched over each other.

    Shapes (N, 1) and (N,) give an N × N table: (1/N²) Σᵢⱼ (ŷᵢ − yⱼ)² is least where every ŷᵢ = ȳ. Counts
    where the shapes without their ones are equal, their ranks are not, and the result has more elements than
    either: at calls of element-by-element losses, and at differences, products and quotients of a learned
    and a given tensor on the way to the loss. Tables of all pairs that are made on purpose name their axes,
    so that both ranks are equal; a target of one number or one row, and a column of targets for several
    heads, do not count. A column of labels that is stretched over the classes inside a likelihood does.

    Source: PyTorch manual, Broadcasting semantics (2025).
    """
    for structure in case.structures.values():
        nodes = [node for node in structure.nodes if _stretches(structure, node)]
        if nodes:
            yield _stretched(nodes[0], *_stretched_pair(nodes[0]))
            return
    for one in compared(case):
        target = one.term.target
        if target is not None and (labels_over_classes(one) or _column_against_classes(one)):
            yield _labels_stretched(one, target)
    if not case.structures:
        yield from _stretched_calls(case)


def _column_against_classes(one: Compared) -> bool:
    """Whether class probabilities are compared with one label a sample, element by element."""
    target, shape = one.term.target, one.term.prediction.shape
    if one.term.form not in ("squared error", "absolute error") or target is None or len(shape) != 2:
        return False
    column = target.shape == (shape[0], 1) and shape[1] > 1 and shape[0] > 1
    labels = one.aim is not None and (one.aim.counted or one.aim.binary)
    return column and labels and origin(one.structure, one.term.prediction).kind == "softmax"


def _stretched_pair(node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return node.inputs[0].shape, node.inputs[1].shape


def _stretches(structure: Structure, node: Node) -> bool:
    if node.op not in LOSSES and node.op not in _ELEMENTWISE:
        return False
    if node.op in ("cross_entropy", "nll_loss") or len(node.inputs) < 2 or in_model(structure, node):
        return False
    first, second = node.inputs[:2]
    learned = [value.index in structure.learned for value in (first, second)]
    if sum(learned) != 1 or "parameter" in (first.kind, second.kind):
        return False
    return _is_stretched(first.shape, second.shape)


def _is_stretched(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    inner = [[n for n in shape if n != 1] for shape in (first, second)]
    return (
        len(first) != len(second) and inner[0] == inner[1] != [] and _result(first, second) > math.prod(first)
    )


def _result(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    rank = max(len(first), len(second))
    pairs = zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True)
    return math.prod(max(a, b) for a, b in pairs)


def _stretched(node: Node, first: tuple[int, ...], second: tuple[int, ...]) -> Finding:
    return _table(node.op, node.where, first, second)


def _table(op: str, where: str, first: tuple[int, ...], second: tuple[int, ...]) -> Finding:
    n = math.prod(first)
    return Finding(
        "broadcast-in-loss",
        "critical",
        f"shapes {_shape(first)} and {_shape(second)} are stretched to {_result(first, second)} pairs in the"
        f" loss ({op})",
        {"prediction": list(first), "target": list(second), "elements of the result": _result(first, second)},
        exact=True,
        where=where,
        effect=f"each prediction meets all {n} targets of the batch: the best answer is their mean",
    )


def _stretched_calls(case: Case) -> Iterator[Finding]:
    for call in case.loss_calls:
        first, second = call.shape(), call.shape("target")
        if call.phase == "train" and call["broadcast"] and _is_stretched(first, second):
            yield _table(call.function, call.where, first, second)
            return


def _labels_stretched(one: Compared, target: Value) -> Finding:
    classes = one.term.prediction.shape[-1]
    return Finding(
        "broadcast-in-loss",
        "critical",
        f"labels of shape {_shape(target.shape)} are stretched over all {classes} classes in the loss",
        {"predictions": list(one.term.prediction.shape), "labels": list(target.shape)},
        exact=True,
        where=one.term.where,
        steps=one.steps,
        effect="every class gets the same weight, so the loss does not know which class is right",
        remedy="pick the right class: log_probabilities.gather(1, labels), or use cross_entropy",
    )


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
