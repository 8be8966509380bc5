"""The fire module: few channels in, many out."""

from __future__ import annotations

from torch import nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.layers.branches import Branches

__all__ = ["Fire"]


@registered(
    kind="layer",
    name="fire-module",
    aliases=("fire",),
    formula="s = relu conv1×1 x, squeeze maps; y = [relu conv1×1 s, relu conv3×3 s] along the channels, "
    "expand maps each, same padding",
    shapes="(N, in_channels, H, W) → (N, 2 · expand, H, W)",
    when="networks with few parameters: the 3×3 convolutions see squeeze channels alone",
    pitfalls="squeezing costs accuracy: in the paper 80.3 % (top 5) with squeeze an eighth of what is "
    "expanded, 86.0 % with three quarters",
    source="Iandola et al., SqueezeNet, 2016",
    example=">>> sum(p.numel() for p in get('fire-module', 96).parameters())\n11920",
    traits={"arguments": (3,), "takes": (2, 3, 5, 5), "gives": (2, 128, 5, 5)},
)
class Fire(nn.Sequential):
    """Fire module: a 1×1 convolution to few channels, then 1×1 and 3×3 side by side."""

    def __init__(self, in_channels: int, squeeze: int = 16, expand: int = 64) -> None:
        check_count("fire-module", "squeeze", squeeze)
        check_count("fire-module", "expand", expand)
        super().__init__(
            nn.Conv2d(in_channels, squeeze, 1),
            nn.ReLU(),
            Branches(
                nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.ReLU()),
                nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.ReLU()),
            ),
        )
