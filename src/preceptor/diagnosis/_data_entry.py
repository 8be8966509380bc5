"""Where data enter a model: the first operators with learned weights, and what comes into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.structure import AFFINE, REARRANGING, Structure
from preceptor.observation.graph import Node, Statistics, Value

__all__ = ["Entry", "entries", "line_of_inputs"]

_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell"})
_CASTS = REARRANGING | frozenset(
    {"pack_padded_sequence", "_pack_padded_sequence", "dropout", "pad", "unfold"}
)


class Scale(NamedTuple):
    """Mean and root mean square of what enters."""

    mean: float
    size: float


@dataclass(frozen=True)
class Entry:
    """One operator with learned weights whose other input nothing learned has touched.

    Attributes:
        node: the operator.
        value: what enters it.
        raw: whether that is what the program was given, moved about at most; else it was worked out of it.
    """

    node: Node
    value: Value
    raw: bool

    @property
    def where(self) -> str:
        """The user's line."""
        return self.node.where

    @property
    def scale(self) -> Scale | None:
        """How large the numbers are; None where that was not measured."""
        s: Statistics | None = self.value.statistics
        return Scale(s.mean, (s.mean**2 + s.std**2) ** 0.5) if s is not None and s.finite else None


def entries(structure: Structure) -> Iterator[Entry]:
    """Yield the affine and recurrent operators that data enter, in order; the losses' own inputs are none.

    Normalising layers, embeddings and convolutions alike are learned; only those whose result grows with the
    size of what enters are yielded: what first goes through a normalisation does not come here.
    """
    for node in structure.nodes:
        if node.op not in AFFINE and node.op not in _RECURRENT:
            continue
        if not any(value.kind == "parameter" for value in _roots(structure, node)):
            continue
        given = node.inputs[:1] if node.op in _RECURRENT else node.inputs
        for value in given:
            if value.kind != "parameter" and value.index not in structure.learned and _floating(value):
                yield Entry(node, value, _given(value))
                break


def _roots(structure: Structure, node: Node) -> list[Value]:
    """The node's inputs, transposed weights by what they are views of."""
    return [_origin(value) for value in node.inputs]


def _origin(value: Value) -> Value:
    while value.producer is not None and value.producer.op in REARRANGING and value.producer.inputs:
        value = value.producer.inputs[0]
    return value


def _given(value: Value) -> bool:
    while value.producer is not None and value.producer.op in _CASTS and value.producer.inputs:
        value = value.producer.inputs[0]
    return value.producer is None and value.kind in ("input", "constant", "unseen")


def _floating(value: Value) -> bool:
    return value.dtype.startswith(("float", "bfloat"))


def line_of_inputs(case: Case) -> str:
    """Return the user's line at which data enter the model, or the model is called."""
    structure = case.structure
    entry = next(iter(entries(structure)), None) if structure is not None else None
    if entry is not None:
        return entry.where
    return next((event.where for event in case.events if event.kind == "forward"), "")
