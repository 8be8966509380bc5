"""Densely connected networks: every layer sees the maps of all earlier ones of its size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images
from preceptor.catalogue.architectures._staged import (
    STEM,
    StagedNetwork,
    blocks_of_depth,
    check_stages,
    make_stem,
)
from preceptor.catalogue.layers.residual_blocks import Activation, make_unit
from preceptor.catalogue.layers.skip import Concatenation

__all__ = ["CifarDenseNet", "DenseNet", "DenselyConnected"]

_HUANG = "Huang, Liu, van der Maaten and Weinberger, Densely Connected Convolutional Networks, 2017"
_LAYER = (
    "h ← [h, conv3×3 f(BN h)] appends growth_rate channels; with a bottleneck h ← [h, conv3×3 f(BN conv1×1 "
    "f(BN h))], 4 · growth_rate channels between the two"
)
_PITFALLS = "few parameters, many operations and much memory: all maps of a stage are kept and copied on"


class DenselyConnected(StagedNetwork):
    """A stem, stages of densely connected layers with transitions between them, and a classifier.

    Arguments:
        owner: named in errors.
        shape: of one image.
        start: the stem, a convolution first.
        blocks: layers in each stage.
        outputs: how many.
        growth_rate: channels that each layer adds.
        bottleneck: whether a 1×1 convolution to 4 · growth_rate channels stands in each layer.
        compression: share of the channels that a transition keeps.
        dropout: probability of dropping, behind each layer.
        activation: behind every normalisation.
        init: of the weights.

    Example:
        >>> start = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1))
        >>> DenselyConnected("net", (3, 32, 32), start, (2, 2), 10, growth_rate=4).sizes
        (16, 24, 32, 10)
    """

    def __init__(
        self,
        owner: str,
        shape: tuple[int, int, int],
        start: nn.Sequential,
        blocks: Sequence[int],
        outputs: int,
        growth_rate: int,
        bottleneck: bool = False,
        compression: float = 1.0,
        dropout: float = 0.0,
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        compression = check_number(owner, "compression", compression, 0.01, 1.0)
        dropout = check_number(owner, "dropout", dropout, 0.0, 0.999)

        def unit(channels: int, after: int, kernel: int) -> list[nn.Module]:
            convolution = nn.Conv2d(channels, after, kernel, padding=kernel // 2, bias=False)
            return [nn.BatchNorm2d(channels), make_unit(activation), convolution]

        def layer(channels: int) -> nn.Module:
            inner = 4 * growth_rate
            branch = [*unit(channels, inner, 1), *unit(inner, growth_rate, 3)]
            branch = branch if bottleneck else unit(channels, growth_rate, 3)
            return Concatenation(nn.Sequential(*branch, *([nn.Dropout(dropout)] if dropout else [])))

        width = start[0].get_parameter("weight").shape[0]
        stages, sizes = [], [width]
        for number, count in enumerate(blocks):
            stage = nn.Sequential()
            if number:
                kept = max(1, int(width * compression))
                stage.append(nn.Sequential(*unit(width, kept, 1), nn.AvgPool2d(2)))
                width = kept
            for _ in range(count):
                stage.append(layer(width))
                width += growth_rate
            stages.append(stage)
            sizes.append(width)
        smallest = 2 ** (len(blocks) - 1) * (4 if isinstance(start[-1], nn.MaxPool2d) else 1)
        check_images(owner, shape, outputs, smallest)
        end = nn.Sequential(nn.BatchNorm2d(width), make_unit(activation))
        super().__init__(start, stages, end, (*sizes, outputs), init)


class DenseNet(DenselyConnected):
    """Densely connected network for photographs, with bottlenecks and compression.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        blocks: layers in each stage.
        growth_rate: channels that each layer adds; the stem has twice as many.
        compression: share of the channels that a transition keeps.
        dropout: probability of dropping, behind each layer.
        stem: ``"large"``, ``"small"``, or ``"auto"``, by the size of the images.
        activation: behind every normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images, or too small for so many stages.
        ConfigError: an option that cannot be used.

    Example:
        >>> DenseNet((3, 32, 32), 10, (2, 2), growth_rate=4).sizes
        (8, 16, 16, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        blocks: Sequence[int] = (6, 12, 24, 16),
        growth_rate: int = 32,
        compression: float = 0.5,
        dropout: float = 0.0,
        stem: str = "auto",
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "densenet"
        shape = check_images(owner, inputs, outputs)
        counts = check_stages(owner, "blocks", blocks)
        width = 2 * check_count(owner, "growth_rate", growth_rate)
        start = make_stem(owner, stem, shape, width, lambda: make_unit(activation))
        super().__init__(
            owner, shape, start, counts, outputs, growth_rate, True, compression, dropout, activation, init
        )


class CifarDenseNet(DenselyConnected):
    """Densely connected network of three equal stages, for small images.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        depth: convolutions and the linear layer together: 3n + 4, with bottlenecks 6n + 4.
        growth_rate: channels that each layer adds.
        bottleneck: whether a 1×1 convolution to 4 · growth_rate channels stands in each layer.
        compression: share of the channels that a transition keeps.
        dropout: probability of dropping, behind each layer.
        activation: behind every normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images, or too small.
        ConfigError: an option that cannot be used.

    Example:
        >>> sum(p.numel() for p in CifarDenseNet((3, 32, 32), 10).parameters())
        1019722
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        depth: int = 40,
        growth_rate: int = 12,
        bottleneck: bool = False,
        compression: float = 1.0,
        dropout: float = 0.0,
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "densenet-cifar"
        shape = check_images(owner, inputs, outputs)
        counts = blocks_of_depth(owner, depth, layers=2 if bottleneck else 1, rest=4)
        growth_rate = check_count(owner, "growth_rate", growth_rate)
        width = 2 * growth_rate if bottleneck and compression < 1 else 16
        start = make_stem(owner, "small", shape, width, None)
        super().__init__(
            owner,
            shape,
            start,
            counts,
            outputs,
            growth_rate,
            bottleneck,
            compression,
            dropout,
            activation,
            init,
        )


def _register(depth: int, blocks: tuple[int, ...], growth_rate: int, parameters: int) -> None:
    registered(
        kind="architecture",
        name=f"densenet-{depth}",
        aliases=(f"densenet{depth}",),
        summary=f"DenseNet-{depth}: {sum(blocks)} densely connected layers of growth rate {growth_rate}.",
        formula=f"h = stem(x), 2 · growth_rate channels; {_LAYER}; {', '.join(map(str, blocks))} layers, "
        "and between the stages conv1×1 f(BN h) to compression of the channels and mean-pooling 2; z = W "
        f"mean(f(BN h)) + b. {STEM}",
        shapes=f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×224×224 and 1,000 outputs",
        when="photographs, where parameters must be few",
        pitfalls=_PITFALLS,
        source=_HUANG,
        example=f">>> with torch.device('meta'):\n...     net = get('densenet-{depth}', (3, 224, 224), "
        "1000)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        traits={"tiny": {"growth_rate": 2, "blocks": (2, 3, 4, 2)}},
    )(partial(DenseNet, blocks=blocks, growth_rate=growth_rate))


def _register_cifar(depth: int, growth_rate: int, parameters: int, *aliases: str, bc: bool = False) -> None:
    name = f"densenet-{'bc-' * bc}{depth}"
    layers = (depth - 4) // (6 if bc else 3)
    registered(
        kind="architecture",
        name=name,
        aliases=(name.replace("-", ""), f"{name}-{growth_rate}", *aliases),
        summary=f"DenseNet{'-BC' * bc} of {depth} layers for small images, growth rate {growth_rate}.",
        formula=f"h = conv3×3 of the image, {'2 · growth_rate' if bc else '16'} channels; {_LAYER}; "
        f"{layers} layers in each of three stages, and between them conv1×1 f(BN h) to compression of the "
        "channels and mean-pooling 2; z = W mean(f(BN h)) + b",
        shapes=f"(N, C, H, W) → (N, outputs), H and W at least 4; {parameters:,} parameters for 3×32×32 and "
        "10 outputs",
        when="small images, where parameters must be few; dropout of 0.2 where nothing is augmented",
        pitfalls=_PITFALLS,
        source=_HUANG,
        example=f">>> with torch.device('meta'):\n...     net = get('{name}', (3, 32, 32), 10)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        traits={"tiny": {"growth_rate": 2, "depth": 22}},
    )(
        partial(
            CifarDenseNet,
            depth=depth,
            growth_rate=growth_rate,
            bottleneck=bc,
            compression=0.5 if bc else 1.0,
        )
    )


_register(121, (6, 12, 24, 16), 32, 7_978_856)
_register(161, (6, 12, 36, 24), 48, 28_681_000)
_register(169, (6, 12, 32, 32), 32, 14_149_480)
_register(201, (6, 12, 48, 32), 32, 20_013_928)
_register_cifar(40, 12, 1_019_722, "densenet", "densenet-cifar")
_register_cifar(100, 12, 6_979_642)
_register_cifar(100, 12, 769_162, "densenet-bc", bc=True)
_register_cifar(190, 40, 25_624_430, bc=True)
_register_cifar(250, 24, 15_324_406, bc=True)
