"""Residual networks for photographs, as first published."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images
from preceptor.catalogue.architectures._staged import (
    STEM,
    StagedNetwork,
    check_stages,
    make_stages,
    make_stem,
)
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.layers.residual_blocks import Activation, BasicBlock, BottleneckBlock, make_unit
from preceptor.catalogue.layers.skip import Residual
from preceptor.errors import ConfigError

__all__ = ["ResNet", "register_resnet"]

_HE = "He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016"


class ResNet(StagedNetwork):
    """Residual network: a stem, four stages of blocks with shortcuts, a linear classifier.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        blocks: how many in each stage; all stages but the first halve the maps and double the channels.
        form: of a block, ``"basic"``, or ``"bottleneck"``, which gives four times as many channels.
        width: factor of all channels, of which the first stage has 64.
        groups: of the 3×3 convolutions in bottlenecks.
        group_width: channels of each of them in the first stage.
        shortcut: where the shape changes: ``"projection"``, or ``"padding"`` with zeros.
        stem: ``"large"``, ``"small"``, or ``"auto"``, by the size of the images.
        activation: behind every normalisation and every sum but the last of a branch.
        zero_init: start each block as its shortcut, with 0 as the scale of its last normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images.
        ConfigError: an option that cannot be used.

    Example:
        >>> ResNet((3, 32, 32), 10, (1, 1), form="basic", width=0.25).sizes
        (16, 16, 32, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        blocks: Sequence[int] = (3, 4, 6, 3),
        form: str = "bottleneck",
        width: float = 1.0,
        groups: int = 1,
        group_width: int = 64,
        shortcut: str = "projection",
        stem: str = "auto",
        activation: Activation = "relu",
        zero_init: bool = False,
        init: Init = "he-normal",
    ) -> None:
        owner = "resnet"
        shape = check_images(owner, inputs, outputs)
        counts = check_stages(owner, "blocks", blocks)
        planes = [64 * 2**number for number in range(len(counts))]
        first, *_ = narrow = scaled(owner, width, planes)
        basic = check_choice(owner, "form", form, ("basic", "bottleneck")) == "basic"
        share = check_count(owner, "groups", groups) * check_count(owner, "group_width", group_width)
        if basic and share != 64:
            raise ConfigError(
                f"{owner}: groups are for bottlenecks",
                expected="form='bottleneck'",
                received=f"form={form!r}, groups={groups}, group_width={group_width}",
            )
        wide = narrow if basic else tuple(4 * channels for channels in narrow)
        inner = dict(zip(wide, scaled(owner, width, [p * share // 64 for p in planes], groups), strict=True))

        def make(before: int, after: int, stride: int) -> nn.Module:
            residual: Residual
            if basic:
                residual = BasicBlock(before, after, stride, shortcut, activation=activation)
            else:
                residual = BottleneckBlock(
                    before,
                    after,
                    stride,
                    shortcut=shortcut,
                    inner=inner[after],
                    groups=groups,
                    activation=activation,
                )
            if zero_init:
                *_, last = residual.branch.modules()
                nn.init.zeros_(last.get_parameter("weight"))
            return residual

        stages = make_stages(make, first, wide, counts)
        start = make_stem(owner, stem, shape, first, lambda: make_unit(activation))
        super().__init__(start, stages, None, (first, *wide, outputs), init)


def register_resnet(
    name: str, blocks: tuple[int, ...], parameters: int, form: str = "bottleneck", **record: Any
) -> None:
    """Register a residual network for photographs; ``record``: what differs from ResNet, and ``options``."""
    options = record.pop("options", {})
    behind = "" if form == "basic" else ", times 4 behind a bottleneck"
    common = {
        "kind": "architecture",
        "name": name,
        "formula": f"h = stem(x); h ← f(shortcut(h) + branch(h)), {', '.join(map(str, blocks))} times at "
        f"64, 128, 256 and 512 channels (times width{behind}); z = W mean(h) + b, the mean over pixels. "
        f"{STEM}",
        "shapes": f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×224×224 and 1,000 outputs",
        "when": "photographs; with the small stem, any images",
        "pitfalls": "the large stem and the stages leave a 32nd of each side; the small stem keeps 16 times "
        "as many pixels, at 16 times the operations; batch normalisation wants batches "
        "of 16 and more",
        "source": _HE,
        "differs": "the paper strides in the first 1×1 convolution of a bottleneck; here, as in "
        "torchvision, the 3×3",
        "example": f">>> with torch.device('meta'):\n...     net = get('{name}', (3, 224, 224), 1000)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        "traits": {"tiny": {"width": 1 / 32}},
    }
    registered(**{**common, **record})(partial(ResNet, blocks=blocks, form=form, **options))


def _register(depth: int, blocks: tuple[int, ...], parameters: int, form: str) -> None:
    layers = "two 3×3" if form == "basic" else "three (1×1, 3×3, 1×1)"
    register_resnet(
        f"resnet-{depth}",
        blocks,
        parameters,
        form,
        aliases=(f"resnet{depth}", *(("resnet", "residual-network") if depth == 50 else ())),
        summary=f"ResNet-{depth}: {sum(blocks)} residual blocks of {layers} convolutions.",
    )


_register(18, (2, 2, 2, 2), 11_689_512, "basic")
_register(34, (3, 4, 6, 3), 21_797_672, "basic")
_register(50, (3, 4, 6, 3), 25_557_032, "bottleneck")
_register(101, (3, 4, 23, 3), 44_549_160, "bottleneck")
_register(152, (3, 8, 36, 3), 60_192_808, "bottleneck")
