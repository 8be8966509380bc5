"""Fully convolutional networks: a class for every pixel, from coarse scores and finer ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.errors import ConfigError

__all__ = ["FullyConvolutional"]

_STAGES = (1, 2, 4, 8, 8)  # widths of the five stages, in units of base: VGG's


@registered(
    kind="architecture",
    name="fully-convolutional-network",
    aliases=("fcn", "fcn-8s", "fully-convolutional"),
    formula="five stages of convs 3×3 convolutions and max-pooling 2, of base · (1, 2, 4, 8, 8) maps; s_l a "
    "1×1 convolution of stage l to scores; stride=32: y = up(s₅); 16: y = up(s₄ + up(s₅)); 8: y = up(s₃ + "
    "up(s₄ + up(s₅))); up enlarges to the size of what it is added to, at last to that of the input",
    shapes="(N, C, H, W) → (N, outputs, H, W), any H and W",
    when="a label for every pixel, from a backbone made for classification",
    pitfalls="stride=32 draws blobs: what is smaller than a stride is lost; the finer forms need the skips",
    source="Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015",
    differs="the paper enlarges VGG-16 by transposed convolutions that start bilinear, and trains the finer "
    "forms from the coarser; here the backbone is small, all is trained at once, and bilinear stays so",
    example=">>> net = get('fcn', (3, 37, 50), 5, base=4)\n"
    ">>> net(torch.zeros(1, 3, 37, 50)).shape, net(torch.zeros(1, 3, 64, 20)).shape\n"
    "(torch.Size([1, 5, 37, 50]), torch.Size([1, 5, 64, 20]))",
    traits={"dense": True, "tiny": {"base": 2}},
)
class FullyConvolutional(nn.Module):
    """Fully convolutional network with 32, 16 or 8 pixels between its finest scores."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        base: int = 32,
        convs: int = 2,
        stride: int = 8,
        upsampling: str = "bilinear",
        activation: str | nn.Module | Callable[[], nn.Module] = "relu",
        init: Init = "he-normal",
    ) -> None:
        super().__init__()
        owner = "fully-convolutional-network"
        channels, *_ = check_images(owner, inputs, outputs)
        check_count(owner, "base", base)
        check_count(owner, "convs", convs)
        if stride not in (8, 16, 32):
            raise ConfigError(
                f"{owner}: stride is not usable", expected="8, 16 or 32", received=f"stride={stride!r}"
            )
        self.mode = check_choice(owner, "upsampling", upsampling, ("bilinear", "nearest"))
        widths = [base * times for times in _STAGES]
        self.stages = nn.ModuleList()
        for before, width in zip([channels, *widths], widths, strict=False):
            self.stages.append(_stage(before, width, convs, activation))
        scored = {32: 1, 16: 2, 8: 3}[stride]
        self.scores = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in widths[-scored:])
        self.sizes: tuple[int, ...] = (*widths, outputs)
        initialize(self, init)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for each class at each pixel."""
        size, maps = x.shape[-2:], []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        found = maps[-len(self.scores) :]
        y = self.scores[-1](found[-1])
        for score, finer in zip(list(self.scores)[-2::-1], found[-2::-1], strict=True):
            y = score(finer) + self._enlarged(y, finer.shape[-2:])
        return self._enlarged(y, size)

    def _enlarged(self, y: Tensor, size: Sequence[int]) -> Tensor:
        corners = False if self.mode == "bilinear" else None
        return functional.interpolate(y, list(size), mode=self.mode, align_corners=corners)


def _stage(
    before: int, width: int, convs: int, activation: str | nn.Module | Callable[[], nn.Module]
) -> nn.Sequential:
    layers: list[nn.Module] = []
    wide = width * pieces_of(make_activation(activation))
    for i in range(convs):
        layers += [nn.Conv2d(width if i else before, wide, 3, padding=1), make_activation(activation)]
    return nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True))
