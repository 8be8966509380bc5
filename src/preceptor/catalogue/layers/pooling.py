"""Pooling: neighbouring values become one; and the padding that often goes before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = [
    "FractionalMaxPooling",
    "GlobalAveragePooling",
    "average_pooling",
    "max_pooling",
    "zero_padding",
]

_SHAPES = "(N, C, H, W) → (N, C, H', W'), H' = ⌊(H + 2 padding − kernel) / stride⌋ + 1"
_TRIAL = {"arguments": (), "takes": (2, 3, 7, 7), "gives": (2, 3, 3, 3)}


def _window(owner: str, kernel: int, stride: int | None, padding: int) -> tuple[int, int, int]:
    check_count(owner, "kernel", kernel)
    check_count(owner, "padding", padding, 0)
    step = kernel if stride is None else check_count(owner, "stride", stride)
    return kernel, step, padding


@registered(
    kind="layer",
    name="max-pooling",
    aliases=("maxpool", "max-pool", "max-pooling-2d"),
    formula="y[c, j, k] = max of x[c, stride · j + m, stride · k + n] over 0 ≤ m, n < kernel",
    shapes=_SHAPES,
    when="after convolutions: smaller maps that hardly change when things move a little",
    pitfalls="rows that do not fill a window are dropped; only the largest value of a window gets a gradient",
    source="Riesenhuber and Poggio, Hierarchical Models of Object Recognition in Cortex, 1999",
    example=">>> get('max-pooling')(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).item()\n4.0",
    traits=_TRIAL,
)
def max_pooling(kernel: int = 2, stride: int | None = None, padding: int = 0) -> nn.Module:
    """Max pooling: the largest value of each window."""
    return nn.MaxPool2d(*_window("max-pooling", kernel, stride, padding))


@registered(
    kind="layer",
    name="average-pooling",
    aliases=("avgpool", "mean-pooling", "average-pool"),
    formula="y[c, j, k] = (1 / kernel²) · Σ x[c, stride · j + m, stride · k + n] over 0 ≤ m, n < kernel",
    shapes=_SHAPES,
    when="where all of a window counts, as in the transitions of DenseNet",
    pitfalls="with padding, the zeros are counted as values",
    source="LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989",
    example=">>> get('average-pooling')(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).item()\n2.5",
    traits=_TRIAL,
)
def average_pooling(kernel: int = 2, stride: int | None = None, padding: int = 0) -> nn.Module:
    """Average pooling: the mean of each window."""
    return nn.AvgPool2d(*_window("average-pooling", kernel, stride, padding))


@registered(
    kind="layer",
    name="global-average-pooling",
    aliases=("gap", "global-pooling"),
    formula="y[c] = (1 / (H · W)) · Σ x[c, i, j]",
    shapes="(N, C, H, W) → (N, C)",
    when="between the last convolution and the classifier: no weights for places, images of any size",
    pitfalls="forgets where things are",
    source="Lin, Chen and Yan, Network in Network, 2014",
    example=">>> get('gap')(torch.ones(1, 3, 5, 8))\ntensor([[1., 1., 1.]])",
    traits={**_TRIAL, "gives": (2, 3)},
)
class GlobalAveragePooling(nn.Module):
    """Global average pooling: each map becomes its mean."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over all positions."""
        return x.mean((-2, -1))


@registered(
    kind="layer",
    name="fractional-max-pooling",
    aliases=("fractional-pooling", "fracmax"),
    formula="H' = ⌊ratio · H⌋; the windows' starts are a random sequence of steps ⌊1/ratio⌋ and ⌈1/ratio⌉; "
    "in "
    "training a new sequence in each call, at test the mean over maps fixed ones",
    shapes="(N, C, H, W) → (N, C, ⌊ratio · H⌋, ⌊ratio · W⌋)",
    when="many gentle pooling layers in place of a few that halve; the randomness regularises",
    pitfalls="costs maps times as much at test",
    source="Graham, Fractional Max-Pooling, 2014",
    differs="nn.FractionalMaxPool2d draws new windows at test as well; the paper averages whole networks' "
    "outputs, this layer its own",
    example=">>> get('fractional-max-pooling', ratio=0.7)(torch.zeros(1, 1, 20, 20)).shape\n"
    "torch.Size([1, 1, 14, 14])",
    traits={"arguments": (), "takes": (2, 3, 10, 10), "gives": (2, 3, 7, 7)},
)
class FractionalMaxPooling(nn.Module):
    """Fractional max pooling: maps shrink by a ratio between ½ and 1, with random windows."""

    windows: Tensor

    def __init__(self, ratio: float = 0.7, kernel: int = 2, maps: int = 8) -> None:
        super().__init__()
        self.ratio = check_number("fractional-max-pooling", "ratio", ratio, 1e-3, 0.999)
        self.kernel = check_count("fractional-max-pooling", "kernel", kernel)
        check_count("fractional-max-pooling", "maps", maps)
        fixed = torch.rand(maps, 2, generator=torch.Generator().manual_seed(0))
        self.register_buffer("windows", fixed, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool with new random windows in training, and by the mean over the fixed ones in evaluation."""
        size = [int(side * self.ratio) for side in x.shape[-2:]]
        if self.training:
            return functional.fractional_max_pool2d(x, self.kernel, output_size=size)
        pooled = [
            functional.fractional_max_pool2d(
                x,
                self.kernel,
                output_size=size,
                _random_samples=window.to(x.dtype).expand(*x.shape[:2], 2).contiguous(),
            )
            for window in self.windows
        ]
        return torch.stack(pooled).mean(0)


@registered(
    kind="layer",
    name="zero-padding",
    aliases=("padding", "zero-pad", "pad"),
    formula="y[c, i, j] = x[c, i − padding, j − padding] for padding ≤ i < H + padding (and so for j), "
    "else 0",
    shapes="(N, C, H, W) → (N, C, H + 2 padding, W + 2 padding)",
    when="so that convolutions keep the size, and the border is seen as often as the middle",
    pitfalls="zero is the mean of standardised pixels only; elsewhere it draws a dark frame",
    source="Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016",
    example=">>> get('zero-padding')(torch.ones(1, 1, 1)).squeeze()\n"
    "tensor([[0., 0., 0.],\n        [0., 1., 0.],\n        [0., 0., 0.]])",
    traits={**_TRIAL, "gives": (2, 3, 9, 9)},
)
def zero_padding(padding: int = 1) -> nn.Module:
    """Zero padding: a frame of zeros around each map."""
    return nn.ZeroPad2d(check_count("zero-padding", "padding", padding, 0))
