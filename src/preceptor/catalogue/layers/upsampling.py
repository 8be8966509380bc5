"""Layers that enlarge maps: interpolation, unpooling, transposed convolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered

__all__ = [
    "BicubicUpsampling",
    "MaxUnpooling",
    "ZeroInsertion",
    "bilinear",
    "nearest",
    "transposed_convolution",
]

_SHAPES = "(N, C, H, W) → (N, C, factor · H, factor · W)"
_TRIAL = {"arguments": (), "takes": (2, 3, 4, 4), "gives": (2, 3, 8, 8)}
_KEYS = "Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981"


@registered(
    kind="layer",
    name="nearest-upsampling",
    aliases=(
        "nearest-neighbour-upsampling",
        "nearest-neighbor-upsampling",
        "upsample-nearest",
        "upsample-nn",
    ),
    formula="y[c, i, j] = x[c, ⌊i / factor⌋, ⌊j / factor⌋]",
    shapes=_SHAPES,
    when="before a convolution, as a transposed convolution without checkerboards",
    pitfalls="blocky by itself",
    source="Odena, Dumoulin and Olah, Deconvolution and Checkerboard Artifacts, 2016",
    example=">>> get('nearest-upsampling')(torch.tensor([[[[1.0, 2.0]]]])).squeeze()\n"
    "tensor([[1., 1., 2., 2.],\n        [1., 1., 2., 2.]])",
    traits=_TRIAL,
)
def nearest(factor: int = 2) -> nn.Module:
    """Nearest-neighbour up-sampling: each pixel is repeated."""
    return nn.Upsample(scale_factor=check_count("nearest-upsampling", "factor", factor), mode="nearest")


@registered(
    kind="layer",
    name="bilinear-upsampling",
    aliases=("bilinear", "bilinear-interpolation", "upsample-bilinear", "upsample-bl"),
    formula="y = Σ x[c, m, n] · max(0, 1 − |u − m|) · max(0, 1 − |v − n|) at u = (i + ½) / factor − ½, or, "
    "with "
    "align_corners, u = i · (H − 1) / (factor · H − 1); v alike",
    shapes=_SHAPES,
    when="smooth enlargement without weights",
    pitfalls="without align_corners the outermost pixels are flat: a ramp is kept in the interior only",
    source=_KEYS,
    example=">>> get('bilinear-upsampling', align_corners=True)(torch.tensor([[[[0.0, "
    "3.0]]]])).squeeze()[0]\n"
    "tensor([0., 1., 2., 3.])",
    traits=_TRIAL,
)
def bilinear(factor: int = 2, align_corners: bool = False) -> nn.Module:
    """Bilinear up-sampling: linear interpolation along both axes."""
    scale = check_count("bilinear-upsampling", "factor", factor)
    return nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=align_corners)


@registered(
    kind="layer",
    name="bicubic-upsampling",
    aliases=("bicubic", "bicubic-interpolation", "upsample-bicubic", "upsample-bc"),
    formula="as bilinear-upsampling, with the cubic weights (a + 2)|t|³ − (a + 3)|t|² + 1 for |t| ≤ 1, "
    "a|t|³ − 5a|t|² + 8a|t| − 4a for 1 < |t| < 2; a = −½ for weights='keys', −¾ for 'torch'",
    shapes=_SHAPES,
    when="the smoothest of the three",
    pitfalls="goes beyond the range of its input near edges; only a = −½ reproduces quadratic functions",
    source=_KEYS,
    differs="torch's nn.Upsample and OpenCV have a = −¾; Keys, Pillow and this entry −½, with the weights at "
    "the border made to sum to 1",
    example=">>> get('bicubic-upsampling')(torch.zeros(1, 1, 4, 4)).shape\ntorch.Size([1, 1, 8, 8])",
    traits=_TRIAL,
)
class BicubicUpsampling(nn.Module):
    """Bicubic up-sampling: cubic interpolation along both axes."""

    def __init__(self, factor: int = 2, weights: str = "keys") -> None:
        super().__init__()
        self.factor = check_count("bicubic-upsampling", "factor", factor)
        self.weights = check_choice("bicubic-upsampling", "weights", weights, ("keys", "torch"))

    def forward(self, x: Tensor) -> Tensor:
        """Interpolate; torch's smoothing form has Keys' weights, and smooths nothing when it enlarges."""
        return functional.interpolate(
            x, scale_factor=float(self.factor), mode="bicubic", antialias=self.weights == "keys"
        )


@registered(
    kind="layer",
    name="zero-insertion",
    aliases=("unpooling", "unpool", "bed-of-nails"),
    formula="y[c, factor · i, factor · j] = x[c, i, j], zero elsewhere",
    shapes=_SHAPES,
    when="the first half of a transposed convolution, shown by itself",
    pitfalls="most of the output is zero: a convolution has to fill it",
    source="Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016",
    example=">>> get('zero-insertion')(torch.tensor([[[1.0, 2.0]]])).squeeze()\n"
    "tensor([[1., 0., 2., 0.],\n        [0., 0., 0., 0.]])",
    traits=_TRIAL,
)
class ZeroInsertion(nn.Module):
    """Zero insertion: pixels move apart, zeros come between."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = check_count("zero-insertion", "factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with zeros between its pixels."""
        y = x.new_zeros(*x.shape[:-2], x.shape[-2] * self.factor, x.shape[-1] * self.factor)
        y[..., :: self.factor, :: self.factor] = x
        return y


@registered(
    kind="layer",
    name="max-unpooling",
    aliases=("max-unpool", "switch-unpooling"),
    formula="y[c, indices] = x, zero elsewhere; indices: where max-pooling found its maxima",
    shapes="(N, C, H, W) and indices of that shape → (N, C, kernel · H, kernel · W)",
    when="decoders whose encoder pooled by maximum: values return to where they came from",
    pitfalls="needs the indices of the pooling layer: nn.MaxPool2d(…, return_indices=True)",
    source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014",
    example=">>> x = torch.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])\n"
    ">>> get('max-unpooling')(*torch.nn.MaxPool2d(2, return_indices=True)(x)).squeeze()\n"
    "tensor([[0., 0.],\n        [4., 0.]])",
    traits={**_TRIAL, "indices": True},
)
class MaxUnpooling(nn.MaxUnpool2d):
    """Max unpooling: maxima return to their places, the rest is zero."""

    def __init__(self, kernel: int = 2) -> None:
        super().__init__(check_count("max-unpooling", "kernel", kernel))


@registered(
    kind="layer",
    name="transposed-convolution",
    aliases=(
        "up-convolution",
        "convt",
        "upconv",
        "deconvolution",
        "conv-transpose",
        "fractionally-strided-convolution",
    ),
    formula="the adjoint of convolution: ⟨conv(u), v⟩ = ⟨u, convᵀ(v)⟩; equal to zero-insertion by stride, "
    "padding kernel − 1 − padding, and convolution with the flipped kernel",
    shapes="(N, in_channels, H, W) → (N, out_channels, H', W'), H' = (H − 1) · stride − 2 padding + kernel",
    when="decoders that learn how to enlarge",
    pitfalls="overlaps unevenly, and paints checkerboards, unless kernel is a multiple of stride; no inverse "
    "of a convolution, whatever its other name says",
    source="Zeiler et al., Deconvolutional Networks, 2010; Long, Shelhamer and Darrell, 2015",
    example=">>> get('transposed-convolution', 8, 4)(torch.zeros(1, 8, 28, 28)).shape\n"
    "torch.Size([1, 4, 56, 56])",
    traits={"arguments": (3, 4), "takes": (2, 3, 4, 4), "gives": (2, 4, 8, 8)},
)
def transposed_convolution(
    in_channels: int, out_channels: int, kernel: int = 2, stride: int = 2, padding: int = 0, bias: bool = True
) -> nn.Module:
    """Transposed convolution: every pixel paints a weighted copy of the kernel."""
    owner = "transposed-convolution"
    check_count(owner, "kernel", kernel)
    check_count(owner, "stride", stride)
    check_count(owner, "padding", padding, 0)
    return nn.ConvTranspose2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=bias)
