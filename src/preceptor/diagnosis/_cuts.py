"""Where the way of gradients from the loss back to parameters is cut."""

from __future__ import annotations

from typing import NamedTuple

from preceptor.diagnosis.structure import Structure
from preceptor.observation.graph import Node

__all__ = ["Cut", "above", "cut_after", "enters", "whole_cut"]

_WORDS = {
    "data": ".data",
    "detach": "detach()",
    "detach_": "detach_()",
    "argmax": "argmax",
    "item": "item()",
    "numpy": "numpy()",
    "tolist": "tolist()",
    "array": "numpy",
    "__array__": "numpy",
}
_INTEGER = ("int", "uint", "bool")
_WAVES = frozenset({"sin", "cos", "sin_", "cos_"})
_NEAR = 4  # operators between a frozen factor and a sine of its product


class Cut(NamedTuple):
    """A place where values go on and gradients do not.

    Attributes:
        op: what cuts, as written in a program.
        where: the user's line.
        layer: the module in which it happens.
        text: what happens, in a few words.
    """

    op: str
    where: str
    layer: str
    text: str


def cut_after(structure: Structure, parameter: str) -> Cut | None:
    """Return where the way from the losses to a parameter is cut; None where it is whole or not recorded."""
    carriers = {value.index for value in structure.graph.values if value.name == parameter}
    for node in structure.nodes:
        if not any(value.index in carriers for value in node.inputs):
            continue
        if _cuts(node):
            return _cut(node)
        carriers.update(value.index for value in (*node.outputs, *node.mutates))
    return None


def whole_cut(structure: Structure) -> Cut | None:
    """Return the last place before the loss at which learned values lose their gradient."""
    for node in reversed(structure.nodes):
        if _cuts(node) and any(value.index in structure.learned for value in node.inputs):
            return _cut(node)
    first = min((n.index for n in structure.loss_nodes), default=len(structure.graph.nodes))
    escaped = [
        node
        for node in structure.graph.left_graph()
        if node.index < first and any(value.index in structure.learned for value in node.inputs)
    ]
    return _cut(escaped[-1]) if escaped else None


def enters(structure: Structure, parameter: str) -> bool:
    """Whether a parameter takes part in what is compared with targets, and not as a frequency of a sine."""
    carriers = {value.index for value in structure.graph.values if value.name == parameter}
    reached, near = set(carriers), dict.fromkeys(carriers, 0)
    for node in structure.nodes:
        distance = min((near[v.index] for v in node.inputs if v.index in near), default=None)
        if distance is not None and distance < _NEAR:
            if node.op in _WAVES:
                return False
            near.update(dict.fromkeys((v.index for v in node.outputs), distance + 1))
        if any(value.index in reached for value in node.inputs):
            reached.update(value.index for value in (*node.outputs, *node.mutates))
    return any(value.index in reached for value in structure.predictions)


def _cuts(node: Node) -> bool:
    """Whether values with a gradient go in, and only such without one come out."""
    return (
        bool(node.outputs)
        and any(value.requires_grad for value in node.inputs)
        and not any(value.requires_grad for value in node.outputs)
    )


def _cut(node: Node) -> Cut:
    word = _WORDS.get(node.op, node.op)
    made = node.outputs[0].dtype if node.outputs else ""
    if node.escapes:
        text = f"{word} at {node.where} takes the values out of torch"
    elif made.startswith(_INTEGER):
        text = f"{word} at {node.where} turns the values into {made} numbers, which have no gradient"
    else:
        text = f"{word} at {node.where} passes the values on without their gradient"
    return Cut(word, node.where, node.module or node.module_type, text)


def above(node: Node) -> set[int]:
    """Indices of the operators that ``node`` depends on along tensors with a gradient."""
    found: set[int] = set()
    stack = [node]
    while stack:
        for value in stack.pop().inputs:
            maker = value.producer
            if maker is not None and value.requires_grad and maker.index not in found:
                found.add(maker.index)
                stack.append(maker)
    return found
