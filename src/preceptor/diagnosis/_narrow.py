"""The narrowest place of a net: how many numbers of each sample all that is predicted passes through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from preceptor.diagnosis.structure import AFFINE, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["Narrow", "narrowest"]

_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_FIXED = frozenset({"parameter", "buffer", "constant"})


@dataclass(frozen=True)
class Narrow:
    """A place between wider ones.

    Attributes:
        name: the module that makes it narrow.
        width: numbers of a sample that leave it.
        before: numbers of a sample that the net reads.
        after: numbers that are predicted for a sample.
        where: the user's line.
    """

    name: str
    width: int
    before: int
    after: int
    where: str

    @property
    def copies(self) -> bool:
        """Whether as much is predicted as is read: the net is to give back what it was given."""
        return self.before == self.after


def narrowest(structure: Structure) -> Narrow | None:
    """Return where a sample's way through the net is narrowest; None where that cannot be told.

    b = the smallest Π of the axes but the first (which is the batch's all the way) of what an operator on
    the way gives, with weights before and after it. Nothing else may lead past it: no connection around, no
    second input. Not told for tables of rows that are looked up, and for nets that predict each position.
    """
    predictions = structure.predictions
    if len(predictions) != 1 or not (outputs := _numbers(predictions[0], predictions[0].shape[:1])):
        return None
    batch = predictions[0].shape[:1]
    chain = list(structure.chain(predictions[0]))[::-1]
    fed = _fed(structure)
    read = [v for v in chain[0].inputs if v.index in fed] if chain else []
    inputs = _numbers(read[0], batch) if len(read) == 1 else 0
    inner = [node for node in _inner(chain) if _numbers(node.outputs[0], batch)]
    if not inputs or not inner:
        return None
    place = min(inner, key=lambda node: _numbers(node.outputs[0], batch))
    if not _only_way(predictions[0], place, fed):
        return None
    maker = next((node for node in reversed(chain[: chain.index(place) + 1]) if _weighs(node)), place)
    width = _numbers(place.outputs[0], batch)
    return Narrow(maker.module or place.module, width, inputs, outputs, place.where)


def _numbers(value: Value, batch: tuple[int, ...]) -> int:
    """The numbers of one sample; 0 where the first axis is not the batch's."""
    return math.prod(value.shape[1:]) if len(value.shape) > 1 and value.shape[:1] == batch else 0


def _weighs(node: Node) -> bool:
    return node.op in AFFINE | _RECURRENT and any(value.kind == "parameter" for value in node.inputs)


def _inner(chain: list[Node]) -> Iterator[Node]:
    """Yield the operators from the first with weights to the one before the last with weights."""
    weighing = [place for place, node in enumerate(chain) if _weighs(node)]
    if len(weighing) > 1:
        yield from (node for node in chain[weighing[0] : weighing[-1]] if node.outputs)


def _fed(structure: Structure) -> set[int]:
    """Indices of the values that are drawn or come from outside; parameters alone make constants."""
    found: set[int] = set()
    for node in structure.graph.nodes:
        found.update(v.index for v in node.inputs if v.producer is None and v.kind not in _FIXED)
        if node.random or any(v.index in found for v in node.inputs):
            found.update(v.index for v in (*node.outputs, *node.mutates))
    return found


def _only_way(prediction: Value, place: Node, fed: set[int]) -> bool:
    """Whether everything that comes after the place comes from it alone."""
    made = {value.index for value in place.outputs}
    for node in _behind(prediction, place.index):
        if any(v.index in fed and v.index not in made for v in node.inputs):
            return False
        made.update(value.index for value in (*node.outputs, *node.mutates))
    return True


def _behind(prediction: Value, place: int) -> list[Node]:
    """The operators that ran after the place and that the prediction depends on, in order."""
    found: dict[int, Node] = {}
    open_ = [prediction]
    while open_:
        node = open_.pop().producer
        if node is not None and node.index > place and node.index not in found:
            found[node.index] = node
            open_ += node.inputs
    return [found[index] for index in sorted(found)]
