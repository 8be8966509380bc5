"""Residual networks with pre-activation, which leave the identity path clean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images
from preceptor.catalogue.architectures._staged import (
    STEM,
    StagedNetwork,
    blocks_of_depth,
    check_stages,
    make_stages,
    make_stem,
)
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.layers.residual_blocks import Activation, PreActivationBlock, make_unit

__all__ = ["CifarPreActivationResNet", "PreActivated", "PreActivationResNet"]

_HE = "He, Zhang, Ren and Sun, Identity Mappings in Deep Residual Networks, 2016"
_BLOCK = "where the shape changes, x + … begins with conv1×1 f(BN x)"
_PITFALLS = "the sum has no normalisation until the end, so that its size grows with the blocks"


class PreActivated(StagedNetwork):
    """A stem of one convolution, stages of pre-activation blocks, a last normalisation, and a classifier.

    Arguments:
        owner: named in errors.
        shape: of one image.
        widths: the channels of the stem and behind each stage.
        blocks: how many in each stage.
        outputs: how many.
        options: of the blocks.
        stem: ``"large"``, ``"small"``, or ``"auto"``, by the size of the images.
        activation: behind every normalisation.
        init: of the weights.

    Example:
        >>> PreActivated("net", (3, 32, 32), (16, 16, 32), (1, 1), 10, {}).sizes
        (16, 16, 32, 10)
    """

    def __init__(
        self,
        owner: str,
        shape: tuple[int, int, int],
        widths: Sequence[int],
        blocks: Sequence[int],
        outputs: int,
        options: dict[str, Any],
        stem: str = "small",
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        def make(before: int, after: int, stride: int) -> nn.Module:
            return PreActivationBlock(before, after, stride, activation=activation, **options)

        stages = make_stages(make, widths[0], widths[1:], blocks)
        end = nn.Sequential(nn.BatchNorm2d(widths[-1]), make_unit(activation))
        start = make_stem(owner, stem, shape, widths[0], None)
        super().__init__(start, stages, end, (*widths, outputs), init)


class PreActivationResNet(PreActivated):
    """Residual network of pre-activation blocks for photographs.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        blocks: how many in each stage.
        form: of a block, ``"basic"``, or ``"bottleneck"``, which gives four times as many channels.
        width: factor of all channels, of which the first stage has 64.
        stem: ``"large"``, ``"small"``, or ``"auto"``, by the size of the images.
        activation: behind every normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images.
        ConfigError: an option that cannot be used.

    Example:
        >>> PreActivationResNet((3, 32, 32), 10, (1, 1), form="basic", width=0.25).sizes
        (16, 16, 32, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        blocks: Sequence[int] = (3, 4, 6, 3),
        form: str = "bottleneck",
        width: float = 1.0,
        stem: str = "auto",
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "preact-resnet"
        shape = check_images(owner, inputs, outputs)
        counts = check_stages(owner, "blocks", blocks)
        first, *_ = narrow = scaled(owner, width, [64 * 2**number for number in range(len(counts))])
        wide = narrow if form == "basic" else tuple(4 * channels for channels in narrow)
        super().__init__(
            owner, shape, (first, *wide), counts, outputs, {"form": form}, stem, activation, init
        )  # fmt: skip


class CifarPreActivationResNet(PreActivated):
    """Residual network of 9n + 2 layers in bottlenecks, or 6n + 2 in basic blocks, all with pre-activation.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        depth: convolutions and the linear layer together.
        form: of a block, ``"bottleneck"`` or ``"basic"``.
        width: factor of all channels: 16, 32 and 64, and four times as many behind bottlenecks.
        activation: behind every normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images.
        ConfigError: an option that cannot be used.

    Example:
        >>> CifarPreActivationResNet((3, 32, 32), 10, depth=29).sizes
        (16, 64, 128, 256, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        depth: int = 164,
        form: str = "bottleneck",
        width: float = 1.0,
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "preact-resnet-cifar"
        shape = check_images(owner, inputs, outputs)
        counts = blocks_of_depth(owner, depth, layers=2 if form == "basic" else 3, rest=2)
        first, *_ = narrow = scaled(owner, width, (16, 32, 64))
        wide = narrow if form == "basic" else tuple(4 * channels for channels in narrow)
        super().__init__(
            owner, shape, (first, *wide), counts, outputs, {"form": form}, activation=activation, init=init
        )


def _register(depth: int, blocks: tuple[int, ...], form: str, parameters: int) -> None:
    name = f"preact-resnet-{depth}"
    registered(
        kind="architecture",
        name=name,
        aliases=(f"resnet-v2-{depth}", f"resnetv2-{depth}", f"preactresnet{depth}"),
        summary=f"ResNet-{depth} with pre-activation: {sum(blocks)} {form} blocks on a clean identity path.",
        formula="x = stem without BN; x ← x + conv f(BN conv f(BN x)), with three convolutions in a "
        f"bottleneck, {', '.join(map(str, blocks))} times at 64, 128, 256 and 512 channels (times "
        f"width{', times 4 behind a bottleneck' * (form != 'basic')}); {_BLOCK}; z = W mean(f(BN x)) + b. "
        f"{STEM}",
        shapes=f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×224×224 and 1,000 outputs",
        when="as resnet-50, and deeper",
        pitfalls=_PITFALLS,
        source=_HE,
        example=f">>> with torch.device('meta'):\n...     net = get('{name}', (3, 224, 224), 1000)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        traits={"tiny": {"width": 1 / 32}},
    )(partial(PreActivationResNet, blocks=blocks, form=form))


def _register_cifar(depth: int, parameters: int, *aliases: str) -> None:
    name = f"preact-resnet-{depth}"
    registered(
        kind="architecture",
        name=name,
        aliases=(f"preresnet-{depth}", f"resnet-v2-{depth}", *aliases),
        summary=f"Pre-activation ResNet-{depth} for small images: bottlenecks on a clean identity path.",
        formula="x = conv3×3 of the image, 16 channels; x ← x + conv1×1 f(BN conv3×3 f(BN conv1×1 f(BN "
        f"x))), (depth − 2) / 9 times at 64, 128 and 256 channels, all times width; {_BLOCK}; z = W "
        "mean(f(BN x)) + b",
        shapes=f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×32×32 and 10 outputs",
        when="small images, and very many layers",
        pitfalls=_PITFALLS,
        source=_HE,
        example=f">>> with torch.device('meta'):\n...     net = get('{name}', (3, 32, 32), 10)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        traits={"tiny": {"width": 0.25, "depth": 29}},
    )(partial(CifarPreActivationResNet, depth=depth))


_register(18, (2, 2, 2, 2), "basic", 11_687_720)
_register(50, (3, 4, 6, 3), "bottleneck", 25_549_352)
_register(101, (3, 4, 23, 3), "bottleneck", 44_541_480)
_register(152, (3, 8, 36, 3), "bottleneck", 60_185_128)
_register_cifar(164, 1_703_258, "preact-resnet", "preactivation-resnet")
_register_cifar(1001, 10_327_706)
