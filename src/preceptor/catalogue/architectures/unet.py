"""U-Net: a contracting path for context, an expanding one for place, joined at every scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import Init, check_images, initialize, pieces_of
from preceptor.catalogue.layers import Concatenation, SameConvolution
from preceptor.catalogue.layers.upsampling import bilinear, transposed_convolution
from preceptor.errors import ModelError

__all__ = ["UNet"]

_Activation = str | nn.Module | Callable[[], nn.Module]


@registered(
    kind="architecture",
    name="u-net",
    aliases=("unet",),
    formula="depth times: two 3×3 convolutions with activation, max-pooling 2, channels base · 2^level; two "
    "convolutions at the bottom; depth times: up (2×2, half the channels), joined to the maps of the same "
    "scale on the way down, two convolutions; at last 1×1 to outputs; padding='valid' cuts those maps about "
    "their centre, and takes 4 · (3 · 2^depth − 2) pixels from each axis",
    shapes="(N, C, H, W) → (N, outputs, H, W) for padding='same', any H and W; for padding='valid' 572×572 → "
    "388×388 at depth 4; base 64, depth 4, 1 channel and 2 outputs have 31,030,658 parameters",
    when="a label or a value for every pixel from few images: cells, organs, roads; denoising",
    pitfalls="the published width needs seconds for a step on a CPU: base=16 has a sixteenth of its "
    "parameters; padding='valid' takes only sizes that halve without a rest, and its outputs belong to the "
    "middle of the target",
    source="Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image Segmentation, "
    "2015",
    differs="the paper's form is padding='valid'; 'same' pads every convolution, so that nothing is cut; "
    "up='bilinear' enlarges and convolves 2×2, with as many parameters as the transposed convolution",
    example=">>> net = get('u-net', (1, 28, 28), 2, base=4, depth=2)\n"
    ">>> net(torch.zeros(1, 1, 28, 30)).shape\ntorch.Size([1, 2, 28, 30])",
    traits={"dense": True, "tiny": {"base": 2}},
)
class UNet(nn.Module):
    """U-Net: encoder and decoder with a joint at every scale."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        base: int = 64,
        depth: int = 4,
        padding: str = "same",
        up: str = "transposed",
        skips: bool = True,
        batch_norm: bool = False,
        dropout: float = 0.0,
        activation: _Activation = "relu",
        init: Init = "he-normal",
    ) -> None:
        super().__init__()
        channels, *_ = check_images("u-net", inputs, outputs)
        check_count("u-net", "base", base)
        self.depth = check_count("u-net", "depth", depth)
        self.valid = check_choice("u-net", "padding", padding, ("same", "valid")) == "valid"
        check_choice("u-net", "up", up, ("transposed", "bilinear"))
        check_number("u-net", "dropout", dropout, 0.0, 1.0)

        def pair(before: int, after: int) -> nn.Sequential:
            return _pair(before, after, activation, valid=self.valid, batch_norm=batch_norm)

        widths = [base << level for level in range(depth + 1)]
        inner = nn.Sequential(pair(widths[-2], widths[-1]), nn.Dropout(dropout) if dropout else nn.Identity())
        for level in reversed(range(depth)):
            width = widths[level]
            branch = nn.Sequential(nn.MaxPool2d(2), inner, _up(2 * width, width, up))
            inner = nn.Sequential(
                pair(widths[level - 1] if level else channels, width),
                Concatenation(branch) if skips else branch,
                pair(2 * width if skips else width, width),
            )
        self.body = inner
        self.last = nn.Conv2d(base, outputs, 1)
        self.sizes: tuple[int, ...] = (*widths, outputs)
        initialize(self, init)
        if self.valid:
            self._refuse(tuple(inputs)[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs at each pixel; at each but those near the border for padding='valid'."""
        height, width = x.shape[-2:]
        if self.valid:
            self._refuse((height, width))
            output: Tensor = self.last(self.body(x))
            return output
        # What is padded to whole multiples of the coarsest pixel is cut off again.
        down, right = (-size % (1 << self.depth) for size in (height, width))
        if down or right:
            x = functional.pad(x, (0, right, 0, down), mode="replicate")
        output = self.last(self.body(x))
        return output[..., :height, :width] if down or right else output

    def _refuse(self, size: Sequence[int]) -> None:
        bad = [side for side in size if not _usable(side, self.depth)]
        if not bad:
            return
        near = [s for s in range(1, bad[0] + (8 << self.depth)) if _usable(s, self.depth)]
        below = [s for s in near if s < bad[0]][-1:]
        sides = [*below, *[s for s in near if s > bad[0]][:1]]
        raise ModelError(
            f"a u-net of depth {self.depth} without padding cannot take these images",
            expected="sides that halve without a rest, such as " + " or ".join(map(str, sides)),
            received="×".join(map(str, size)),
            hint=f"windows of such a size: data.crop={sides[0]}; or padding='same', which takes any",
        )


def _usable(side: int, depth: int) -> bool:
    """Say whether every pooling meets an even size, and something is left at the end."""
    for _ in range(depth):
        side -= 4
        if side <= 0 or side % 2:
            return False
        side //= 2
    side -= 4
    for _ in range(depth):
        side = 2 * side - 4
    return side > 0


def _pair(
    before: int, after: int, activation: _Activation, *, valid: bool, batch_norm: bool
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        wide = after * pieces_of(make_activation(activation))
        layers.append(nn.Conv2d(channels, wide, 3, padding=0 if valid else 1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(wide)] * batch_norm
        layers.append(make_activation(activation))
    return nn.Sequential(*layers)


def _up(before: int, after: int, how: str) -> nn.Module:
    if how == "transposed":
        return transposed_convolution(before, after)
    return nn.Sequential(bilinear(), SameConvolution(before, after, kernel=2))
