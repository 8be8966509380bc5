"""Sizes of layers: outputs, parameters, connections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["LayerSize", "convolution_parameters", "layer_size", "mlp_parameters", "output_size"]

_DUMOULIN = "Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016"
_COUNTED = "by counting"


@registered(
    kind="calculator",
    name="output-size",
    aliases=("outsize", "convolution-size"),
    formula="⌊(size + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1; for dilation 1 "
    "⌊(size + 2 padding − kernel) / stride⌋ + 1",
    shapes="the size of one side → its size behind a convolution or pooling",
    when="planning a network, or finding out why two maps do not fit",
    pitfalls="without ⌊·⌋ sizes are not whole: what does not fill a step is dropped",
    source=_DUMOULIN,
    example=">>> get('output-size', 224, kernel=11, padding=2, stride=4)\n55",
)
def output_size(size: int, kernel: int = 3, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Size of a map behind a convolution or pooling."""
    owner = "output-size"
    for option, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation), ("size", size)):
        check_count(owner, option, value)
    check_count(owner, "padding", padding, 0)
    spare = size + 2 * padding - dilation * (kernel - 1) - 1
    if spare < 0:
        raise ConfigError(
            "the kernel does not fit",
            expected=f"a size of at least {dilation * (kernel - 1) + 1 - 2 * padding}",
            received=f"{size}",
            hint="padding, or a smaller kernel",
        )
    return spare // stride + 1


@registered(
    kind="calculator",
    name="convolution-parameters",
    aliases=("conv-count",),
    formula="(in_channels / groups · kernel² + 1) · out_channels; without bias no + 1",
    shapes="numbers of channels → a number of parameters",
    when="planning a network",
    pitfalls="one bias for each filter, not for each pixel of its map",
    source=_COUNTED,
    example=">>> get('convolution-parameters', 3, 96, kernel=11)\n34944",
)
def convolution_parameters(
    in_channels: int, out_channels: int, kernel: int = 3, groups: int = 1, bias: bool = True
) -> int:
    """Number of parameters of a convolution."""
    for option, value in (("in_channels", in_channels), ("out_channels", out_channels), ("kernel", kernel)):
        check_count("convolution-parameters", option, value)
    return (
        in_channels // check_count("convolution-parameters", "groups", groups) * kernel**2 + bias
    ) * out_channels


@registered(
    kind="calculator",
    name="mlp-parameters",
    aliases=("mlp-count",),
    formula="a + Σ_i (m_i · m_{i−1} + m_i), m_0 the number of inputs, m_l that of outputs, a the "
    "parameters of "
    "activations; with pieces k (maxout) hidden layers count k times",
    shapes="the widths (m_0, …, m_l) → a number of parameters",
    when="planning a network",
    pitfalls="the first layer counts m_0, the inputs",
    source=_COUNTED,
    example=">>> get('mlp-parameters', (784, 128, 10))\n101770",
)
def mlp_parameters(sizes: Sequence[int], activation_parameters: int = 0, pieces: int = 1) -> int:
    """Number of parameters of a multilayer perceptron."""
    for size in sizes:
        check_count("mlp-parameters", "sizes", size)
    check_count("mlp-parameters", "activation_parameters", activation_parameters, 0)
    check_count("mlp-parameters", "pieces", pieces)
    layers = [(m, n, pieces) for m, n in pairwise(sizes)]
    layers[-1:] = [(m, n, 1) for m, n, _ in layers[-1:]]
    return activation_parameters + sum(k * (m * n + n) for m, n, k in layers)


class LayerSize(NamedTuple):
    """Units, weights, connections, and the multiplications and additions of a training step per example."""

    units: int
    weights: int
    connections: int
    multiply_adds: int


@registered(
    kind="calculator",
    name="layer-size",
    aliases=("size-calc", "connections"),
    formula="width · height · out_maps units. form='convolution': kernel² · in_maps · out_maps weights, "
    "width · height times as many connections; form='fully-connected': width² · height² · in_maps · "
    "out_maps of "
    "both. A training step takes 3 multiply-adds a connection: 1 forward, 2 backward. With bias each map "
    "(each unit, fully connected) has one more weight; pairs: how many pairs of maps are connected",
    shapes="width and height of the output maps, numbers of maps → (units, weights, connections, "
    "multiply_adds)",
    when="to see why convolutions: the weights do not grow with the image, the connections hardly",
    pitfalls="the fully connected count takes input maps of the outputs' size",
    source="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998",
    example=">>> get('layer-size', 32, 32, 3, 16, kernel=5).weights\n1200\n"
    ">>> get('layer-size', 32, 32, 3, 16, form='fully-connected').weights\n50331648",
)
def layer_size(
    width: int,
    height: int,
    in_maps: int,
    out_maps: int,
    kernel: int = 3,
    form: str = "convolution",
    bias: bool = False,
    pairs: int | None = None,
) -> LayerSize:
    """Units, weights and connections of a layer."""
    sizes = {"width": width, "height": height, "in_maps": in_maps, "out_maps": out_maps, "kernel": kernel}
    for option, value in sizes.items():
        check_count("layer-size", option, value)
    positions = width * height
    maps = in_maps * out_maps if pairs is None else check_count("layer-size", "pairs", pairs)
    units = positions * out_maps
    if check_choice("layer-size", "form", form, ("convolution", "fully-connected")) == "convolution":
        weights = kernel**2 * maps + bias * out_maps
        connections = positions * weights
    else:
        weights = connections = positions**2 * maps + bias * units
    return LayerSize(units, weights, connections, 3 * connections)
