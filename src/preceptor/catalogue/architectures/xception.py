"""Xception: separable convolutions with residual connections."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.architectures._widths import scaled
from preceptor.catalogue.layers.convolution import depthwise_separable
from preceptor.catalogue.layers.skip import Residual

__all__ = ["Xception"]

_SMALLEST = 7
_ENTRY, _EXIT = (128, 256, 728), (728, 1024)


@registered(
    kind="architecture",
    name="xception",
    aliases=("extreme-inception",),
    formula="conv 3×3 stride 2, 32 maps → BN → f → conv 3×3, 64 → BN → f → blocks of 128, 256 and 728 maps → "
    "middle blocks of 728 → block of 728 and 1024 → sep 1536 → BN → f → sep 2048 → BN → f → mean of each map "
    "→ dropout → outputs; f = relu, sep: depthwise-separable-convolution 3×3. A block: x + branch(x), the "
    "branch two (middle: three) times f → sep → BN; where maps halve, max-pool 3×3 stride 2 ends the branch "
    "and the shortcut is conv 1×1 stride 2 → BN; all maps times width",
    shapes="(N, C, H, W) → (N, outputs), H and W at least 7; 22,855,952 parameters for 3×299×299 and 1,000 "
    "outputs",
    when="photographs: the accuracy of Inception-v3 or more, with fewer parameters",
    pitfalls="made for 299×299 pixels, of which a 32nd is left at the end; depthwise convolutions are slow "
    "for their few operations",
    source="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2017",
    differs="timm's legacy_xception; Keras' has the same parameters, and eps = 1e-3 in its normalisations",
    example=">>> with torch.device('meta'):\n...     model = get('xception', (3, 299, 299), 1000)\n"
    ">>> sum(p.numel() for p in model.parameters())\n22855952",
    traits={"tiny": {"width": 0.05, "middle": 1}},
)
class Xception(nn.Sequential):
    """Xception: separable convolutions, with a shortcut past every two or three."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        width: float = 1.0,
        middle: int = 8,
        dropout: float = 0.0,
        init: Init = "he-normal",
    ) -> None:
        owner = "xception"
        channels = check_images(owner, inputs, outputs, _SMALLEST)[0]
        rate = check_number(owner, "dropout", dropout, 0.0, 0.999)
        check_count(owner, "middle", middle, 0)
        first, second, *entry = scaled(owner, width, (32, 64, *_ENTRY))
        inner, outer, *last = scaled(owner, width, (*_EXIT, 1536, 2048))
        super().__init__(*_unit(nn.Conv2d(channels, first, 3, 2, bias=False), first))
        self.extend(_unit(nn.Conv2d(first, second, 3, bias=False), second))
        before = second
        for at, after in enumerate(entry):
            self.append(_halving(before, after, after, start=at > 0))
            before = after
        for _ in range(middle):
            self.append(Residual(nn.Sequential(*_separable(before, (before,) * 3, start=True))))
        self.append(_halving(before, inner, outer, start=True))
        for before, after in zip((outer, last[0]), last, strict=True):
            self.extend(_unit(depthwise_separable(before, after), after))
        self.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
        if rate:
            self.append(nn.Dropout(rate))
        self.append(nn.Linear(last[1], outputs))
        self.sizes: tuple[int, ...] = (first, second, *entry, *[entry[-1]] * middle, outer, *last, outputs)
        initialize(self, init)


def _unit(convolution: nn.Module, maps: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(maps), nn.ReLU()]


def _separable(before: int, maps: Sequence[int], *, start: bool) -> list[nn.Module]:
    """Separable convolutions behind relus; the first relu only where the block does ``start`` with it."""
    layers: list[nn.Module] = []
    for after in maps:
        layers += [nn.ReLU(), depthwise_separable(before, after), nn.BatchNorm2d(after)]
        before = after
    return layers if start else layers[1:]


def _halving(before: int, inner: int, after: int, *, start: bool) -> Residual:
    branch = nn.Sequential(*_separable(before, (inner, after), start=start), nn.MaxPool2d(3, 2, 1))
    return Residual(branch, nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), nn.BatchNorm2d(after)))
