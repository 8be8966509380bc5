"""AlexNet: as published in two groups, without groups, and in the one-column form of its author."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.architectures.convnet import Activation, dense_layers
from preceptor.catalogue.calculators.sizes import output_size
from preceptor.catalogue.layers.convolution import convolution
from preceptor.catalogue.normalizations.each import local_response_norm

__all__ = ["AlexNet"]

_SMALLEST = 63
_ONE_COLUMN = (64, 192, 384, 256, 256)
_ORIGINAL = (96, 256, 384, 384, 256)
_KRIZHEVSKY = (
    "Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012"
)
_PITFALLS = (
    "the fully connected layers hold 19 of 20 parameters and overfit without dropout and augmentation; the "
    "first layers shrink the image 8-fold: below 63 pixels nothing is left"
)
_WHEN = "a network of 2012 for comparisons; photographs of some 200 pixels"
_TRAITS = {"tiny": {"width": 0.03}, "inputs": ((1, 63, 63), (3, 64, 70))}


class AlexNet(nn.Sequential):
    """AlexNet: five convolutions, three poolings, three fully connected layers.

    Arguments:
        inputs: shape of one image, H and W at least 63.
        outputs: how many.
        channels: of the five convolutions.
        groups: into how many the 2nd, 4th and 5th convolution are divided.
        response_norm: whether a local response normalisation follows the first two activations.
        width: factor of all channels and hidden widths.

    Raises:
        ModelError: the examples are no images of that size.

    Example:
        >>> AlexNet((3, 64, 64), 10, (96, 256, 384, 384, 256), 2, True, width=0.125).sizes
        (12, 32, 48, 48, 32, 32, 512, 512, 10)
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        channels: Sequence[int],
        groups: int = 1,
        response_norm: bool = False,
        width: float = 1.0,
        activation: Activation = "relu",
        dropout: float = 0.5,
        init: Init = "he-normal",
    ) -> None:
        owner = "alexnet"
        before, height, side = check_images(owner, inputs, outputs, _SMALLEST)
        dropout = check_number(owner, "dropout", dropout, 0.0, 0.999)
        widths = scaled(owner, width, channels, groups)
        plan = [(11, 4, 2, 1), (5, 1, 2, groups), (3, 1, 1, 1), (3, 1, 1, groups), (3, 1, 1, groups)]
        super().__init__()
        for at, (after, (kernel, stride, padding, parts)) in enumerate(zip(widths, plan, strict=True)):
            unit = make_activation(activation)
            wide = after * pieces_of(unit)
            self.append(convolution(before, wide, kernel, stride, padding, groups=parts))
            self.append(unit)
            if response_norm and at < 2:
                self.append(local_response_norm(after))
            if at in (0, 1, 4):
                self.append(nn.MaxPool2d(3, 2))
            before = after
        flat = (before * _left(height) * _left(side), *scaled(owner, width, (4096, 4096)), outputs)
        self.append(nn.Flatten())
        self.extend(dense_layers(flat, activation, dropout))
        self.sizes: tuple[int, ...] = (*widths, *flat)
        initialize(self, init)


def _left(side: int) -> int:
    """Return what is left of a side behind the first convolution and the three poolings."""
    side = output_size(side, kernel=11, stride=4, padding=2)
    for _ in range(3):
        side = output_size(side, kernel=3, stride=2)
    return side


@registered(
    kind="architecture",
    name="alexnet",
    aliases=("alexnet-one-column", "alexnet-one-tower"),
    formula="conv 11×11 stride 4, 64 maps → f → pool → conv 5×5, 192 → f → pool → conv 3×3, 384 → f → conv "
    "3×3, 256 → f → conv 3×3, 256 → f → pool → 4096 → f → dropout → 4096 → f → dropout → outputs; pool: max "
    "3×3, stride 2; maps and hidden widths times width",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 63; 61,100,840 parameters for 3×224×224 and 1,000 "
    "outputs",
    when=_WHEN,
    pitfalls=_PITFALLS,
    source="Krizhevsky, One Weird Trick for Parallelizing Convolutional Neural Networks, 2014",
    differs="torchvision's, but for its dropout, which stands before the two hidden layers there and behind "
    "them here, and its pooling to 6×6 maps, which changes nothing at 224×224. The paper of 2012 has more "
    "maps, in two groups: alexnet-two-groups",
    example=">>> with torch.device('meta'):\n...     model = get('alexnet', (3, 224, 224), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n61100840",
    traits=_TRAITS,
)
def alexnet(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> AlexNet:
    """AlexNet in one column: five convolutions and three fully connected layers."""
    return AlexNet(inputs, outputs, _ONE_COLUMN, 1, False, width, activation, dropout, init)


@registered(
    kind="architecture",
    name="alexnet-two-groups",
    aliases=("alexnet-original", "alexnet-2012", "caffenet"),
    formula="alexnet with 96, 256, 384, 384 and 256 maps, the 2nd, 4th and 5th convolution in two groups, "
    "and local-response-norm behind the first two activations",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 63; 60,965,224 parameters for 3×224×224 and 1,000 "
    "outputs",
    when=_WHEN,
    pitfalls=_PITFALLS + "; its groups were a way to use two GPUs",
    source=_KRIZHEVSKY,
    differs="the paper starts weights at N(0, 0.01²) and some biases at 1, here they start as He's; its "
    "224×224 pixels give the 55×55 maps that it states with padding 2",
    example=">>> with torch.device('meta'):\n...     model = get('alexnet-two-groups', (3, 224, 224), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n60965224",
    traits=_TRAITS,
)
def alexnet_two_groups(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> AlexNet:
    """AlexNet as published: in two groups, with local response normalisation."""
    return AlexNet(inputs, outputs, _ORIGINAL, 2, True, width, activation, dropout, init)


@registered(
    kind="architecture",
    name="alexnet-ungrouped",
    aliases=("alexnet-full",),
    formula="alexnet-two-groups with every map connected to all maps before it",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 63; 62,378,344 parameters for 3×224×224 and 1,000 "
    "outputs",
    when="the widths of the paper on one GPU",
    pitfalls=_PITFALLS,
    source=_KRIZHEVSKY,
    example=">>> with torch.device('meta'):\n...     model = get('alexnet-ungrouped', (3, 224, 224), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n62378344",
    traits=_TRAITS,
)
def alexnet_ungrouped(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.5,
    init: Init = "he-normal",
) -> AlexNet:
    """AlexNet with the published widths, without groups."""
    return AlexNet(inputs, outputs, _ORIGINAL, 1, True, width, activation, dropout, init)
