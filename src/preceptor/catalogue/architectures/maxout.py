"""Maxout networks: layers whose units are the largest of a few affine functions, with dropout before each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, check_sizes, initialize
from preceptor.catalogue.architectures._widths import check_widths, scaled
from preceptor.catalogue.piecewise import Maxout

__all__ = ["MaxoutNetwork"]

_GOODFELLOW = "Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout Networks, 2013"
_WHEN = "with dropout, of which it was made to be a companion; to see activations that are learned"
_PITFALLS = (
    "each unit has the weights of pieces units; published with dropout and with a limit to the norm of each "
    "unit's weights, which is the regularizer max-norm=1.94"
)


class _Stage(NamedTuple):
    """A maxout convolution and the max pooling behind it."""

    maps: int
    pieces: int
    kernel: int
    padding: int
    window: int
    stride: int


class MaxoutNetwork(nn.Sequential):
    """Maxout network: maxout convolutions with pooling, maxout layers, a linear layer, each behind a dropout.

    Arguments:
        before: channels, or numbers, of one example.
        sides: height and width; empty where there are no stages.
        outputs: how many.
        stages: the convolutions.
        hidden: (width, pieces) of the fully connected layers.
        input_dropout: of the inputs.
        dropout: of what goes into all other layers.
        init: as in every architecture.
    """

    def __init__(
        self,
        before: int,
        sides: Sequence[int],
        outputs: int,
        stages: Sequence[_Stage],
        hidden: Sequence[tuple[int, int]],
        input_dropout: float,
        dropout: float,
        init: Init,
    ) -> None:
        super().__init__()
        sizes: list[int] = []
        rates = [input_dropout, *[dropout] * (len(stages) + len(hidden))]
        for stage in stages:
            self._drop(rates.pop(0))
            self.append(nn.Conv2d(before, stage.maps * stage.pieces, stage.kernel, padding=stage.padding))
            self.append(Maxout(stage.pieces))
            self.append(nn.MaxPool2d(stage.window, stage.stride, ceil_mode=True))
            sides = [_left(side, stage) for side in sides]
            before = stage.maps
            sizes.append(before)
        if stages:
            self.append(nn.Flatten())
            before *= sides[0] * sides[1]
        for width, pieces in hidden:
            self._drop(rates.pop(0))
            self.extend([nn.Linear(before, width * pieces), Maxout(pieces)])
            before = width
            sizes.append(before)
        self._drop(rates.pop(0))
        self.append(nn.Linear(before, outputs))
        self.sizes: tuple[int, ...] = (*sizes, outputs)
        initialize(self, init)

    def _drop(self, rate: float) -> None:
        if rate:
            self.append(nn.Dropout(rate))


def _left(side: int, stage: _Stage) -> int:
    """Return what is left of a side behind a convolution and a pooling that rounds up."""
    side += 2 * stage.padding - stage.kernel + 1
    return -(-(side - stage.window) // stage.stride) + 1


def _rates(owner: str, input_dropout: float, dropout: float) -> tuple[float, float]:
    return (
        check_number(owner, "input_dropout", input_dropout, 0.0, 0.999),
        check_number(owner, "dropout", dropout, 0.0, 0.999),
    )


def _for_images(
    owner: str,
    inputs: Sequence[int],
    outputs: int,
    smallest: int,
    stages: Sequence[_Stage],
    hidden: Sequence[tuple[int, int]],
    width: float,
    input_dropout: float,
    dropout: float,
    init: Init,
) -> MaxoutNetwork:
    channels, *sides = check_images(owner, inputs, outputs, smallest)
    narrow = [
        stage._replace(maps=maps)
        for stage, maps in zip(stages, scaled(owner, width, [stage.maps for stage in stages]), strict=True)
    ]
    dense = [(scaled(owner, width, (units,))[0], pieces) for units, pieces in hidden]
    return MaxoutNetwork(
        channels, sides, outputs, narrow, dense, *_rates(owner, input_dropout, dropout), init
    )


@registered(
    kind="architecture",
    name="maxout-mlp",
    aliases=("maxout-network", "maxout-net", "maxout-mnist-permutation-invariant"),
    formula="h₀ = x; h_l = max over i of (W_li · dropout(h_{l−1}) + b_li), i = 1…pieces, for each width in "
    "hidden; z = W dropout(h) + b; the inputs' dropout is input_dropout",
    shapes="(N, …) → (N, outputs); the example is flattened first; 1,233,610 parameters for 28×28 pixels, 10 "
    "outputs and hidden=(240, 240)",
    when=_WHEN,
    pitfalls=_PITFALLS,
    source=_GOODFELLOW,
    differs="the paper starts at U(±0.005), here as He's",
    example=">>> sum(p.numel() for p in get('maxout-mlp', (784,), 10).parameters())\n1233610",
    traits={"tiny": {"hidden": (12, 12)}},
)
def maxout_mlp(
    inputs: Sequence[int],
    outputs: int,
    hidden: int | Sequence[int] = (240, 240),
    pieces: int = 5,
    input_dropout: float = 0.2,
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> nn.Module:
    """Maxout network of fully connected layers."""
    owner = "maxout-mlp"
    shape, width = check_sizes(owner, inputs, outputs)
    check_count(owner, "pieces", pieces, 2)
    layers = [(units, pieces) for units in check_widths(owner, "hidden", hidden)]
    network = MaxoutNetwork(width, (), outputs, (), layers, *_rates(owner, input_dropout, dropout), init)
    if len(shape) != 1:
        network.insert(0, nn.Flatten())
    return network


@registered(
    kind="architecture",
    name="maxout-mnist",
    aliases=("maxout-convnet-mnist",),
    formula="mc(8×8, 48 maps, 2 pieces) → pool 4 → mc(8×8 padding 3, 48, 2) → pool 4 → mc(5×5 padding 3, 24, "
    "4) → pool 2 → outputs; mc: a convolution with pieces times its maps, and the largest piece; pools have "
    "stride 2; dropout before every layer, input_dropout before the first; maps times width",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 16; 418,714 parameters for 1×28×28 and 10 outputs",
    when=_WHEN,
    pitfalls=_PITFALLS,
    source=_GOODFELLOW,
    differs="the authors' program has a bias for each pixel of its maps here, as theirs for colour images "
    "has not",
    example=">>> get('maxout-mnist', (1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape\ntorch.Size([2, 10])",
    traits={"tiny": {"width": 0.1}},
)
def maxout_mnist(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    input_dropout: float = 0.2,
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> MaxoutNetwork:
    """Maxout network for digits: three maxout convolutions."""
    stages = [_Stage(48, 2, 8, 0, 4, 2), _Stage(48, 2, 8, 3, 4, 2), _Stage(24, 4, 5, 3, 2, 2)]
    return _for_images("maxout-mnist", inputs, outputs, 16, stages, [], width, input_dropout, dropout, init)


@registered(
    kind="architecture",
    name="maxout-cifar",
    aliases=("maxout-convnet", "maxout-convnet-cifar"),
    formula="mc(8×8 padding 4, 96 maps, 2 pieces) → pool 4 → mc(8×8 padding 3, 192, 2) → pool 4 → mc(5×5 "
    "padding 3, 192, 2) → pool 2 → maxout(500, 5 pieces) → outputs; mc: a convolution with pieces times its "
    "maps, and the largest piece; pools have stride 2; dropout before every layer, input_dropout before the "
    "first; maps and hidden width times width",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 8; 16,247,830 parameters for 3×32×32 and 10 "
    "outputs",
    when=_WHEN,
    pitfalls=_PITFALLS,
    source=_GOODFELLOW,
    differs="the paper whitens its images, which the data's standardisation does not",
    example=">>> get('maxout-cifar', (3, 32, 32), 10, width=0.1)(torch.zeros(2, 3, 32, 32)).shape\n"
    "torch.Size([2, 10])",
    traits={"tiny": {"width": 0.05}},
)
def maxout_cifar(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    input_dropout: float = 0.2,
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> MaxoutNetwork:
    """Maxout network for small colour images: three maxout convolutions and a maxout layer."""
    stages = [_Stage(96, 2, 8, 4, 4, 2), _Stage(192, 2, 8, 3, 4, 2), _Stage(192, 2, 5, 3, 2, 2)]
    return _for_images(
        "maxout-cifar", inputs, outputs, 8, stages, [(500, 5)], width, input_dropout, dropout, init
    )
