"""What one output of a stack of convolutions can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["ReceptiveField", "receptive_field"]


class ReceptiveField(NamedTuple):
    """How far one output sees, the distance between neighbours' fields, and the share it does not see."""

    size: int
    jump: int
    unused: float


@registered(
    kind="calculator",
    name="receptive-field",
    aliases=("rf", "gridding"),
    formula="from the first layer on, r ← r + (kernel − 1) · dilation · j, then j ← j · stride, from r = j "
    "= 1; "
    "unused: the share of the r positions that reach no weight, as with one dilation above 1 throughout "
    "(gridding)",
    shapes="layers as (kernel, stride, dilation), stride and dilation 1 where left out → (size, jump, "
    "unused)",
    when="planning a network: what is larger than the field cannot be recognised",
    pitfalls="pooling counts as a layer; the field in effect is smaller, as its rim hardly matters",
    source="Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks, 2019; "
    "Wang et al., Understanding Convolution for Semantic Segmentation, 2018 (gridding)",
    example=">>> get('receptive-field', [(3,), (3,), (3,)]).size\n7\n"
    ">>> get('receptive-field', [(3, 1), (2, 2), (3, 1)])\nReceptiveField(size=8, jump=2, unused=0.0)\n"
    ">>> round(get('receptive-field', [(3, 1, 2), (3, 1, 2)]).unused, 2)\n0.44",
)
def receptive_field(layers: Sequence[Sequence[int]]) -> ReceptiveField:
    """Receptive field of a stack of convolutions and poolings, along one axis."""
    plan = [_layer(layer) for layer in layers]
    size = jump = 1
    seen = {0}
    for kernel, stride, dilation in plan:
        size += (kernel - 1) * dilation * jump
        seen = {place + m * dilation * jump for place in seen for m in range(kernel)}
        jump *= stride
    return ReceptiveField(size, jump, 1 - len(seen) / size)


def _layer(layer: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(layer, Sequence) or not 1 <= len(layer) <= 3:
        raise ConfigError(
            "receptive-field: a layer is not usable",
            expected="(kernel, stride, dilation), the last two optional",
            received=repr(layer),
        )
    kernel, stride, dilation = (*layer, 1, 1)[:3]
    for option, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        check_count("receptive-field", option, value)
    return kernel, stride, dilation
