"""Wide residual networks: fewer layers, more channels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images
from preceptor.catalogue.architectures._staged import blocks_of_depth
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.architectures.preact_resnet import PreActivated
from preceptor.catalogue.architectures.resnet import register_resnet
from preceptor.catalogue.layers.residual_blocks import Activation

__all__ = ["WideResNet"]

_ZAGORUYKO = "Zagoruyko and Komodakis, Wide Residual Networks, 2016"


class WideResNet(PreActivated):
    """Wide residual network of 6n + 4 layers: three stages of n basic pre-activation blocks.

    Arguments:
        inputs: shape of one image.
        outputs: how many.
        depth: convolutions, those of the shortcuts where the width changes counted, and no linear layer.
        widen: factor of the channels of the stages: 16, 32 and 64; the stem keeps 16.
        dropout: probability of dropping, between the two convolutions of a block.
        activation: behind every normalisation.
        init: of the weights.

    Raises:
        ModelError: the examples are no images.
        ConfigError: an option that cannot be used.

    Example:
        >>> WideResNet((3, 32, 32), 10, depth=16, widen=2).sizes
        (16, 32, 64, 128, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        depth: int = 28,
        widen: float = 10,
        dropout: float = 0.0,
        activation: Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        owner = "wide-resnet"
        shape = check_images(owner, inputs, outputs)
        blocks = blocks_of_depth(owner, depth, layers=2, rest=4)
        widths = scaled(owner, check_number(owner, "widen", widen, 1e-2), (16, 32, 64))
        super().__init__(
            owner,
            shape,
            (16, *widths),
            blocks,
            outputs,
            {"dropout": dropout},
            activation=activation,
            init=init,
        )


def _register(depth: int, widen: int, parameters: int, *aliases: str) -> None:
    name = f"wrn-{depth}-{widen}"
    registered(
        kind="architecture",
        name=name,
        aliases=(f"wide-resnet-{depth}-{widen}", *aliases),
        summary=f"Wide ResNet of {depth} layers, {widen} times as wide as the narrow one.",
        formula="x = conv3×3 of the image, 16 channels; x ← x + conv3×3 dropout f(BN conv3×3 f(BN x)), "
        "(depth − 4) / 6 times at 16, 32 and 64 channels times widen; where the shape changes, x + … begins "
        "with conv1×1 f(BN x); z = W mean(f(BN x)) + b",
        shapes=f"(N, C, H, W) → (N, outputs); {parameters:,} parameters for 3×32×32 and 10 outputs",
        when="small images, where time matters more than memory: wide layers keep a GPU busy",
        pitfalls="parameters grow with the square of widen: weight decay (5e-4 in the paper) and "
        "augmentation are needed, dropout of 0.3 helps a little",
        source=_ZAGORUYKO,
        example=f">>> with torch.device('meta'):\n...     net = get('{name}', (3, 32, 32), 10)\n"
        f">>> sum(p.numel() for p in net.parameters())\n{parameters}",
        traits={"tiny": {"widen": 0.25}},
    )(partial(WideResNet, depth=depth, widen=widen))


_register(28, 10, 36_479_194, "wrn", "wide-resnet")
_register(40, 4, 8_949_210)
_register(16, 8, 10_961_370)

for _depth, _blocks, _parameters in ((50, (3, 4, 6, 3), 68_883_240), (101, (3, 4, 23, 3), 126_886_696)):
    register_resnet(
        f"wide-resnet-{_depth}-2",
        _blocks,
        _parameters,
        options={"group_width": 128},
        aliases=(f"wide-resnet{_depth}-2", f"wrn-{_depth}-2"),
        summary=f"ResNet-{_depth} with bottlenecks twice as wide within.",
        source=_ZAGORUYKO,
    )
