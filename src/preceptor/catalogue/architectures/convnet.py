"""The usual convolutional network: stages of convolutions and pooling, then fully connected layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import entry, get, registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.catalogue.architectures._widths import check_widths
from preceptor.errors import ConfigError

__all__ = ["Activation", "ConvNet", "dense_layers"]

Activation = str | nn.Module | Callable[[], nn.Module]


def dense_layers(widths: Sequence[int], activation: Activation, dropout: float = 0.0) -> list[nn.Module]:
    """Return fully connected layers from widths[0] to widths[-1], with activation and dropout between them.

    Arguments:
        widths: of the input, the hidden layers, and the output.
        activation: behind every layer but the last.
        dropout: behind every activation; 0: none.

    Example:
        >>> [type(layer).__name__ for layer in dense_layers((4, 3, 2), "relu", 0.5)]
        ['Linear', 'ReLU', 'Dropout', 'Linear']
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        unit = make_activation(activation)
        drop = [nn.Dropout(dropout)] if dropout else []
        layers += [nn.Linear(fan_in, fan_out * pieces_of(unit)), unit, *drop]
    return [*layers, nn.Linear(widths[-2], widths[-1])]


@registered(
    kind="architecture",
    name="convnet",
    aliases=("cnn", "convolutional-network", "convolutional-neural-network"),
    formula="for each entry of channels: convolutions times (convolution kernel × kernel, same padding → "
    "norm → f), then pooling 2 × 2; then flatten, for each entry of hidden W h + b → f → dropout, and W h + "
    "b to the outputs. norm: none, or a normalisation by name; bias=None leaves the convolutions' biases out "
    "before it",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 2^m for m entries of channels",
    when="images, from digits to photographs, when no published network is asked for",
    pitfalls="most parameters lie behind the last pooling: one more stage, or hidden=(), makes them fewer",
    source="LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; Simonyan and "
    "Zisserman, Very Deep Convolutional Networks, 2015",
    example=">>> model = get('convnet', (1, 28, 28), 10, channels=[8, 16], convolutions=1, hidden=[32])\n"
    ">>> [type(layer).__name__ for layer in list(model)[:4]], model(torch.zeros(2, 1, 28, 28)).shape\n"
    "(['Conv2d', 'ReLU', 'MaxPool2d', 'Conv2d'], torch.Size([2, 10]))",
    traits={"tiny": {"channels": (4, 6), "convolutions": 1, "hidden": (8,)}},
)
class ConvNet(nn.Sequential):
    """Convolutional network: convolutions and pooling, stage after stage, and fully connected layers."""

    owner = "convnet"  # named in errors

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        channels: int | Sequence[int] = (32, 64),
        convolutions: int | Sequence[int] = 2,
        hidden: int | Sequence[int] = (128,),
        kernel: int = 3,
        pooling: str = "max",
        activation: Activation = "relu",
        normalization: str | None = None,
        dropout: float = 0.0,
        bias: bool | None = None,
        init: Init = "he-normal",
    ) -> None:
        owner = self.owner
        widths = check_widths(owner, "channels", channels)
        counts = _counts(owner, convolutions, len(widths))
        before, *sides = check_images(owner, inputs, outputs, 2 ** len(widths))
        dropout = check_number(owner, "dropout", dropout, 0.0, 0.999)
        if check_count(owner, "kernel", kernel) % 2 == 0:
            raise ConfigError(
                f"{owner}: kernel is not usable", expected="an odd number", received=f"kernel={kernel}"
            )
        pool = check_choice(owner, "pooling", pooling, ("max", "average"))
        super().__init__()
        for count, width in zip(counts, widths, strict=True):
            for _ in range(count):
                self.extend(_convolution(before, width, kernel, activation, normalization, bias))
                before = width
            self.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
        left = [side // 2 ** len(widths) for side in sides]
        flat = (before * math.prod(left), *check_widths(owner, "hidden", hidden), outputs)
        self.append(nn.Flatten())
        self.extend(dense_layers(flat, activation, dropout))
        self.sizes: tuple[int, ...] = (*widths, *flat)
        initialize(self, init)


def _counts(owner: str, convolutions: int | Sequence[int], stages: int) -> tuple[int, ...]:
    """Return how many convolutions each stage has; one number stands for all."""
    counts = check_widths(owner, "convolutions", convolutions)
    if isinstance(convolutions, int):
        counts *= stages
    if len(counts) != stages:
        raise ConfigError(
            f"{owner}: convolutions is not usable",
            expected=f"one number, or one for each of the {stages} stages that channels names",
            received=f"convolutions={convolutions!r}",
        )
    return counts


def _convolution(
    before: int,
    after: int,
    kernel: int,
    activation: Activation,
    normalization: str | None,
    bias: bool | None,
) -> list[nn.Module]:
    unit = make_activation(activation)
    wide = after * pieces_of(unit)
    has_bias = normalization is None if bias is None else bias
    layers: list[nn.Module] = [nn.Conv2d(before, wide, kernel, padding=kernel // 2, bias=has_bias)]
    if normalization is not None:
        plain = entry(normalization, "normalization").name == "batch-norm"  # torch's own can be ejected
        layers.append(nn.BatchNorm2d(wide) if plain else get(normalization, wide, kind="normalization"))
    return [*layers, unit]
