"""SqueezeNet: fire modules, which squeeze channels by 1×1 before they convolve."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.architectures.nin import averaged_maps
from preceptor.catalogue.layers.fire import Fire

__all__ = ["SqueezeNet"]

_IANDOLA = (
    "Iandola et al., SqueezeNet: AlexNet-level Accuracy with 50x Fewer Parameters and <0.5MB Model Size, 2016"
)
_FIRE = "fire(s, e): conv 1×1, s maps → relu → [conv 1×1, conv 3×3], e maps each → relu, joined"
_END = "end: 'rectified', 'linear', or 'auto', which is linear for one output"
_PITFALLS = (
    "rectified outputs are never negative: for targets that are several numbers take end='linear'; fewer "
    "parameters are not fewer operations"
)
_DIFFERS = (
    "torchvision's, whose last convolution starts at N(0, 0.01²) and the others from a uniform distribution"
)
_SQUEEZED = (16, 16, 32, 32, 48, 48, 64, 64)


class SqueezeNet(nn.Sequential):
    """SqueezeNet: a convolution, eight fire modules with pooling between them, a mean map for each output.

    Arguments:
        owner: named in errors.
        inputs: shape of one image.
        outputs: how many.
        maps: of the first convolution, and its kernel.
        pooled: before which fire modules pooling stands, counted from 0.
        smallest: the least side that the poolings leave something of.
        width: factor of all maps.
        dropout: before the last convolution.
        end: ``"rectified"``, ``"linear"`` or ``"auto"``.
        init: as in every architecture.

    Raises:
        ModelError: the examples are no images of that size.
    """

    def __init__(
        self,
        owner: str,
        inputs: Sequence[int],
        outputs: int,
        maps: tuple[int, int],
        pooled: Sequence[int],
        smallest: int,
        width: float,
        dropout: float,
        end: str,
        init: Init,
    ) -> None:
        channels = check_images(owner, inputs, outputs, smallest)[0]
        rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        before, *squeezed = scaled(owner, width, (maps[0], *_SQUEEZED))
        super().__init__(nn.Conv2d(channels, before, maps[1], 2), nn.ReLU())
        self.sizes: tuple[int, ...] = (before,)
        for at, squeeze in enumerate(squeezed):
            if at in pooled:
                self.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            self.append(Fire(before, squeeze, 4 * squeeze))
            before = 8 * squeeze
            self.sizes += (before,)
        if rate:
            self.append(nn.Dropout(rate))
        self.extend(averaged_maps(owner, before, outputs, "relu", end))
        self.sizes += (outputs,)
        initialize(self, init)


@registered(
    kind="architecture",
    name="squeezenet-1.0",
    aliases=("squeezenet", "squeezenet1-0", "squeezenet-1-0"),
    formula="conv 7×7 stride 2, 96 maps → relu → pool → fire(16, 64) twice → fire(32, 128) → pool → fire(32, "
    "128) → fire(48, 192) twice → fire(64, 256) → pool → fire(64, 256) → dropout → conv 1×1, outputs maps → "
    "relu → mean of "
    f"each map; {_FIRE}; pool: max 3×3, stride 2; all maps times width. {_END}",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 21; 1,248,424 parameters for 3×224×224 and 1,000 "
    "outputs",
    when="memory is short: AlexNet's accuracy with a 49th of its parameters",
    pitfalls=_PITFALLS,
    source=_IANDOLA,
    differs=_DIFFERS + "; 5.0 MB as float32: the half megabyte of the title is after compression",
    example=">>> sum(p.numel() for p in get('squeezenet', (3, 224, 224), 1000).parameters())\n1248424",
    traits={"tiny": {"width": 0.25, "dropout": 0.0}},
)
def squeezenet_1_0(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    dropout: float = 0.5,
    end: str = "auto",
    init: Init = "he-normal",
) -> SqueezeNet:
    """SqueezeNet 1.0: eight fire modules behind a 7×7 convolution."""
    return SqueezeNet("squeezenet-1.0", inputs, outputs, (96, 7), (0, 3, 7), 21, width, dropout, end, init)


@registered(
    kind="architecture",
    name="squeezenet-1.1",
    aliases=("squeezenet1-1", "squeezenet-1-1"),
    formula="squeezenet-1.0 with a 3×3 convolution of 64 maps at the start, and the poolings before the 1st, "
    "3rd and "
    f"5th fire module: 2.4 times fewer operations; {_FIRE}. {_END}",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 17; 1,235,496 parameters for 3×224×224 and 1,000 "
    "outputs",
    when="as squeezenet-1.0, and faster",
    pitfalls=_PITFALLS,
    source=_IANDOLA + "; its authors' release of 2016",
    differs=_DIFFERS,
    example=">>> sum(p.numel() for p in get('squeezenet-1.1', (3, 224, 224), 1000).parameters())\n1235496",
    traits={"tiny": {"width": 0.25, "dropout": 0.0}},
)
def squeezenet_1_1(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    dropout: float = 0.5,
    end: str = "auto",
    init: Init = "he-normal",
) -> SqueezeNet:
    """SqueezeNet 1.1: the form with earlier pooling."""
    return SqueezeNet("squeezenet-1.1", inputs, outputs, (64, 3), (0, 2, 4), 17, width, dropout, end, init)
