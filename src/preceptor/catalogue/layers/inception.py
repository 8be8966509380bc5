"""The Inception layer: several kernels side by side."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.layers.branches import Branches
from preceptor.errors import ConfigError

__all__ = ["Inception"]


def _pair(option: str, value: Sequence[int]) -> tuple[int, int]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) != 2:
        raise ConfigError(
            f"inception: {option} is not usable",
            expected="two numbers of channels: of the reduction, of the convolution",
            received=f"{option}={value!r}",
            hint=f"{option}=(96, 128)",
        )
    first, second = (check_count("inception", option, width) for width in value)
    return first, second


@registered(
    kind="layer",
    name="inception",
    aliases=("inception-layer", "inception-module", "googlenet-block"),
    formula="[f conv1×1 x, f conv3×3 f conv1×1 x, f conv5×5 f conv1×1 x, f conv1×1 maxpool3×3 x] along the "
    "channels, all with same padding, f = relu",
    shapes="(N, in_channels, H, W) → (N, one + three[1] + five[1] + pool, H, W)",
    when="features of several sizes at once, at a cost that the 1×1 reductions keep low",
    pitfalls="four widths to choose for every layer",
    source="Szegedy et al., Going Deeper with Convolutions, 2015",
    differs="torchvision's GoogLeNet has a 3×3 convolution in the 5×5 branch, and batch normalisation",
    example=">>> sum(p.numel() for p in get('inception', 192).parameters())\n163696",
    traits={"arguments": (3,), "takes": (1, 3, 5, 5), "gives": (1, 256, 5, 5)},
)
class Inception(Branches):
    """Inception layer: 1×1, 3×3 and 5×5 convolutions and pooling, side by side."""

    def __init__(
        self,
        in_channels: int,
        one: int = 64,
        three: Sequence[int] = (96, 128),
        five: Sequence[int] = (16, 32),
        pool: int = 32,
    ) -> None:
        reduce3, three3 = _pair("three", three)
        reduce5, five5 = _pair("five", five)
        check_count("inception", "one", one)
        check_count("inception", "pool", pool)
        super().__init__(
            nn.Sequential(nn.Conv2d(in_channels, one, 1), nn.ReLU()),
            nn.Sequential(
                nn.Conv2d(in_channels, reduce3, 1),
                nn.ReLU(),
                nn.Conv2d(reduce3, three3, 3, padding=1),
                nn.ReLU(),
            ),
            nn.Sequential(
                nn.Conv2d(in_channels, reduce5, 1),
                nn.ReLU(),
                nn.Conv2d(reduce5, five5, 5, padding=2),
                nn.ReLU(),
            ),
            nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(in_channels, pool, 1), nn.ReLU()),
        )
