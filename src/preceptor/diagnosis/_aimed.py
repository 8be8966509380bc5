"""Whether a run moves inputs and no weights: adversarial examples, transfer of style."""

from __future__ import annotations

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.structure import AFFINE, Structure
from preceptor.observation.graph import Node

__all__ = ["moves_inputs"]


def moves_inputs(case: Case) -> bool:
    """Return whether all that is trained are tensors that layers read as data.

    Exact: nothing that belongs to a module is moved, and a tensor of no module that has a gradient to get
    enters a layer as what its weights are applied to. A loose tensor that is itself a weight does not.

    Source: Szegedy et al., Intriguing properties of neural networks (2013); Gatys, Ecker & Bethge, A Neural
    Algorithm of Artistic Style (2015).
    """
    moved = [name for name, series in case.signals("update_norm").items() if len(series)]
    if not moved or not all(name.startswith("optimizer.") for name in moved):
        return False
    return any(_enters(structure) for structure in case.structures.values())


def _enters(structure: Structure) -> bool:
    loose = {
        value.index
        for value in structure.graph.leaves
        if value.requires_grad and not value.name and value.kind in ("parameter", "input")
    }
    for node in structure.nodes if loose else ():
        read = [value for value in node.inputs if value.index in loose]
        if read and _has_weights(node):
            return True
        if read and node.op not in AFFINE:
            loose.update(value.index for value in (*node.outputs, *node.mutates))
    return False


def _has_weights(node: Node) -> bool:
    """Whether weights of a module are applied."""
    return any(value.kind == "parameter" and value.name for value in node.inputs)
