"""Network in Network: 1×1 convolutions behind each convolution, and no fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.architectures.convnet import Activation

__all__ = ["NetworkInNetwork", "averaged_maps"]

_LIN = "Lin, Chen and Yan, Network in Network, 2014"
_MLPCONV = "mlpconv(k×k: a, b, c) = conv k×k, a maps → f → conv 1×1, b → f → conv 1×1, c → f"
_END = "end: the outputs' maps have f ('rectified') or not ('linear'); 'auto': not where there is one output"
_PITFALLS = (
    "rectified outputs are never negative: for targets that are several numbers take end='linear'; the last "
    "maps start near zero, and with a large learning rate some die"
)
_DIFFERS = "the published start is N(0, 0.05²) or N(0, 0.01²) by layer, here He's"
_ENDS = ("auto", "rectified", "linear")


def averaged_maps(owner: str, before: int, outputs: int, activation: Activation, end: str) -> list[nn.Module]:
    """Return a 1×1 convolution to a map for each output, and the mean of each map.

    Arguments:
        owner: named in errors.
        before: channels before it.
        outputs: how many.
        activation: of the maps, where they have one.
        end: ``"rectified"``: the maps have an activation, as published; ``"linear"``: they have none, so that
            outputs of either sign are possible; ``"auto"``: rectified, but linear for one output.

    Example:
        >>> [type(layer).__name__ for layer in averaged_maps("squeezenet", 8, 1, "relu", "auto")]
        ['Conv2d', 'AdaptiveAvgPool2d', 'Flatten']
    """
    linear = check_choice(owner, "end", end, _ENDS) == "linear" or (end == "auto" and outputs == 1)
    unit = nn.Identity() if linear else make_activation(activation)
    layers = [nn.Conv2d(before, outputs * pieces_of(unit), 1), *([] if linear else [unit])]
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class NetworkInNetwork(nn.Sequential):
    """Network in Network: mlpconv layers, pooling and dropout between them, a mean map for each output.

    Arguments:
        owner: named in errors.
        inputs: shape of one image.
        outputs: how many.
        plan: of each mlpconv layer its maps, and kernel, stride and padding of its first convolution; the
            last one lacks the maps of its last convolution, which are the outputs.
        poolings: behind each mlpconv layer but the last.
        smallest: the least side that they leave something of.
        width: factor of all maps.
        dropout: in front of some mlpconv layers.
        dropped: which, by their place.
        activation: of every convolution.
        end: as in `averaged_maps`.
        init: as in every architecture.

    Raises:
        ModelError: the examples are no images of that size.
    """

    def __init__(
        self,
        owner: str,
        inputs: Sequence[int],
        outputs: int,
        plan: Sequence[tuple[tuple[int, ...], int, int, int]],
        poolings: Sequence[type[nn.Module]],
        smallest: int,
        width: float,
        dropout: float,
        dropped: Sequence[int],
        activation: Activation,
        end: str,
        init: Init,
    ) -> None:
        before = check_images(owner, inputs, outputs, smallest)[0]
        rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        super().__init__()
        sizes: list[int] = []
        for at, (maps, kernel, stride, padding) in enumerate(plan):
            if rate and at in dropped:
                self.append(nn.Dropout(rate))
            for first, after in zip((True, False, False), scaled(owner, width, maps), strict=False):
                unit = make_activation(activation)
                wide = after * pieces_of(unit)
                self.append(
                    nn.Conv2d(before, wide, kernel, stride, padding) if first else nn.Conv2d(before, wide, 1)
                )
                self.append(unit)
                before = after
                sizes.append(after)
            if at < len(poolings):
                self.append(poolings[at](3, 2, ceil_mode=True))
        self.extend(averaged_maps(owner, before, outputs, activation, end))
        self.sizes: tuple[int, ...] = (*sizes, outputs)
        initialize(self, init)


@registered(
    kind="architecture",
    name="nin-cifar",
    aliases=("nin", "network-in-network", "network-in-network-cifar"),
    formula="mlpconv(5×5: 192, 160, 96) → max-pool → dropout → mlpconv(5×5: 192, 192, 192) → average-pool → "
    "dropout → mlpconv(3×3: 192, 192, outputs) → mean of each map; "
    f"{_MLPCONV}; pools 3×3, stride 2; all maps times width. {_END}",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 4; 966,986 parameters for 3×32×32 and 10 outputs",
    when="small colour images with few parameters; to see each output's map, which says where a class is",
    pitfalls=_PITFALLS,
    source=_LIN,
    differs=_DIFFERS,
    example=">>> sum(p.numel() for p in get('nin-cifar', (3, 32, 32), 10).parameters())\n966986",
    traits={"tiny": {"width": 0.05, "dropout": 0.0}},
)
def nin_cifar(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.5,
    end: str = "auto",
    init: Init = "he-normal",
) -> NetworkInNetwork:
    """Network in Network for small images: three mlpconv layers."""
    plan = [((192, 160, 96), 5, 1, 2), ((192, 192, 192), 5, 1, 2), ((192, 192), 3, 1, 1)]
    pools = [nn.MaxPool2d, nn.AvgPool2d]
    return NetworkInNetwork(
        "nin-cifar", inputs, outputs, plan, pools, 4, width, dropout, (1, 2), activation, end, init
    )


@registered(
    kind="architecture",
    name="nin-imagenet",
    aliases=("network-in-network-imagenet",),
    formula="mlpconv(11×11 stride 4: 96, 96, 96) → pool → mlpconv(5×5: 256, 256, 256) → pool → mlpconv(3×3: "
    "384, 384, 384) → pool → dropout → mlpconv(3×3: 1024, 1024, outputs) → mean of each map; "
    f"{_MLPCONV}; pool: max 3×3, stride 2; all maps times width. " + _END,
    shapes="(N, C, H, W) → (N, outputs), H and W at least 39; 7,595,176 parameters for 3×224×224 and 1,000 "
    "outputs",
    when="photographs with an eighth of AlexNet's parameters",
    pitfalls=_PITFALLS,
    source=_LIN,
    differs=_DIFFERS,
    example=">>> with torch.device('meta'):\n...     model = get('nin-imagenet', (3, 224, 224), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n7595176",
    traits={"tiny": {"width": 0.05, "dropout": 0.0}, "inputs": ((1, 39, 39), (3, 48, 64))},
)
def nin_imagenet(
    inputs: Sequence[int],
    outputs: int,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.5,
    end: str = "auto",
    init: Init = "he-normal",
) -> NetworkInNetwork:
    """Network in Network for photographs: four mlpconv layers."""
    plan = [
        ((96, 96, 96), 11, 4, 0),
        ((256, 256, 256), 5, 1, 2),
        ((384, 384, 384), 3, 1, 1),
        ((1024, 1024), 3, 1, 1),
    ]
    return NetworkInNetwork(
        "nin-imagenet",
        inputs,
        outputs,
        plan,
        [nn.MaxPool2d] * 3,
        39,
        width,
        dropout,
        (3,),
        activation,
        end,
        init,
    )
