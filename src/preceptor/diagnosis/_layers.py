"""Layers with weights, in the order in which they ran, and what stands between one and the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from preceptor.diagnosis.structure import AFFINE, REARRANGING, Structure
from preceptor.observation.graph import Node, Value

__all__ = ["Layer", "before", "layers"]

_PASSING = (
    REARRANGING
    | frozenset(
        {"dropout", "dropout_", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
    )
    | frozenset({"batch_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d", "neg"})
    | frozenset({"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "pixel_shuffle", "pad"})
)
_SCALING = frozenset({"mul", "div", "add", "sub", "rmul", "radd", "truediv"})


@dataclass(frozen=True)
class Layer:
    """An affine operator with a weight that is learned.

    Attributes:
        node: the operator.
        weight: its weight as it was then.
        data: what it was applied to.
    """

    node: Node
    weight: Value
    data: Value

    @property
    def name(self) -> str:
        """Its module, or the name of its weight."""
        return self.node.module or self.weight.label

    @property
    def rows(self) -> int:
        """Its outputs: units or channels."""
        if self.node.op.startswith("conv_transpose"):
            return self.weight.shape[1]
        return self.weight.shape[1] if self._transposed else self.weight.shape[0]

    @property
    def fan_in(self) -> int:
        """How many numbers one output is a sum of."""
        if self.node.op.startswith("conv_transpose"):
            return self.weight.shape[0] * math.prod(self.weight.shape[2:])
        return self.weight.shape[0] if self._transposed else math.prod(self.weight.shape[1:])

    @property
    def grouped(self) -> bool:
        """Whether it is a convolution whose channels do not all meet."""
        if not self.node.op.startswith("conv") or self.node.op.startswith("conv_transpose"):
            return False
        return len(self.data.shape) > 1 and self.data.shape[1] != self.weight.shape[1]

    @property
    def _transposed(self) -> bool:
        """Whether it is written x @ w: the weight's first axis meets the data's last."""
        if self.node.op.startswith("conv") or self.node.op == "linear":
            return False
        return self.node.inputs[0] is not self.weight


def layers(structure: Structure) -> list[Layer]:
    """Return the affine layers that the losses depend on, in order; products of two activations are none."""
    found = []
    for node in structure.nodes:
        if node.op not in AFFINE:
            continue
        weights = [v for v in node.inputs if v.kind == "parameter" and len(v.shape) > 1]
        data = [v for v in node.inputs if v.kind != "parameter"]
        if len(weights) == 1 and len(data) == 1:
            found.append(Layer(node, weights[0], data[0]))
    return found


def before(structure: Structure, layer: Layer) -> Iterator[Node]:
    """Yield the operators before a layer, last one first, as long as they are affine in their data.

    Ends with the affine layer before it, where nothing but rearranging, dropout, average pooling, batch
    normalisation and plain factors stands between the two; with the first other operator else.
    """
    value: Value | None = layer.data
    while value is not None and (node := value.producer) is not None:
        yield node
        value = _only_data(structure, node) if _passes(node) else None


def _passes(node: Node) -> bool:
    if node.op in _PASSING:
        return True
    return node.op in _SCALING and sum(not _is_plain(value) for value in node.inputs) == 1


def _is_plain(value: Value) -> bool:
    """Whether a value is one number for each unit, as a bias is; one for each position is more."""
    return value.kind in ("parameter", "buffer") and sum(length > 1 for length in value.shape) <= 1


def _only_data(structure: Structure, node: Node) -> Value | None:
    """The one input that is learned and no parameter; None where several meet."""
    data = [v for v in node.inputs if v.kind not in ("parameter", "buffer")]
    return data[0] if len(data) == 1 else None
