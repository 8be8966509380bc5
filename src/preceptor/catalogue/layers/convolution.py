"""Convolutions over images: one factory, and the special cases that have names of their own."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count
from preceptor.catalogue._registry import registered

__all__ = [
    "SameConvolution",
    "TrueConvolution",
    "convolution",
    "depthwise_separable",
    "dilated_convolution",
    "pointwise_convolution",
    "strided_convolution",
    "valid_convolution",
]

_SHAPES = "(N, in_channels, H, W) → (N, out_channels, H', W'), H' = ⌊(H + 2 padding − d (kernel − 1) − 1) / "
_SHAPES += "stride⌋ + 1, d the dilation"
_LECUN = "LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989"
_TRIAL = {"arguments": (3, 4), "takes": (2, 3, 9, 9)}


@registered(
    kind="layer",
    name="convolution",
    aliases=("conv2d", "conv", "convolution-2d", "2d-convolution", "cross-correlation"),
    formula="z[o, i, j] = b[o] + Σ_c Σ_m Σ_n w[o, c, m, n] · x[c, stride · i + m · dilation, stride · j + "
    "n · dilation], x padded by padding zeros; one bias for each filter: out_channels · (in_channels · "
    "kernel² / groups + 1) parameters",
    shapes=_SHAPES,
    when="images, spectrograms and whatever else has neighbours: the same weights look everywhere",
    pitfalls="the kernel is not flipped, as in all libraries: mathematically a cross-correlation; moves with "
    "its input (equivariant), and is not invariant to where something is",
    source=_LECUN,
    differs="Keras puts channels last; true-convolution flips the kernel",
    example=">>> get('conv2d', 3, 16, kernel=5)(torch.zeros(1, 3, 32, 32)).shape\n"
    "torch.Size([1, 16, 28, 28])",
    traits={**_TRIAL, "gives": (2, 4, 7, 7)},
)
def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Module:
    """Two-dimensional convolution: filters that slide over an image."""
    owner = "convolution"
    for option, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation), ("groups", groups)):
        check_count(owner, option, value)
    check_count(owner, "padding", padding, 0)
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


@registered(
    kind="layer",
    name="true-convolution",
    aliases=("flipped-convolution", "conv-flip", "mathematical-convolution"),
    formula="z[o, i, j] = b[o] + Σ_c Σ_m Σ_n w[o, c, m, n] · x[c, i − m, j − n], over the places where the "
    "kernel fits: convolution with w[o, c, kernel − 1 − m, kernel − 1 − n]",
    shapes="(N, in_channels, H, W) → (N, out_channels, H − kernel + 1, W − kernel + 1)",
    when="kernels that come from signal processing, where convolution is commutative",
    pitfalls="weights from a library's convolution must be flipped to give the same result",
    source="Oppenheim and Schafer, Discrete-Time Signal Processing, 1989",
    differs="agrees with scipy.signal.convolve2d; torch's Conv2d correlates",
    example=">>> layer = get('true-convolution', 1, 1, kernel=2, bias=False)\n"
    ">>> layer.weight.data = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])\n"
    ">>> layer(torch.arange(4.0).reshape(1, 1, 2, 2)).item()\n3.0",
    traits={**_TRIAL, "gives": (2, 4, 7, 7)},
)
class TrueConvolution(nn.Conv2d):
    """Convolution in the mathematical sense: the kernel is flipped along both axes."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, bias: bool = True) -> None:
        super().__init__(
            in_channels, out_channels, check_count("true-convolution", "kernel", kernel), bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, where the kernel lies within the input."""
        return functional.conv2d(x, self.weight.flip(-2, -1), self.bias)


@registered(
    kind="layer",
    name="strided-convolution",
    aliases=("stride", "strided"),
    formula="z'[o, j, k] = z[o, stride · (j − 1) + 1, stride · (k − 1) + 1], z the convolution with stride 1",
    shapes=_SHAPES,
    when="to make maps smaller while learning how; in place of pooling",
    pitfalls="a stride above the kernel's size leaves pixels unseen; ⌊·⌋ drops the rest at the border",
    source="Springenberg et al., Striving for Simplicity: The All Convolutional Net, 2015",
    example=">>> get('strided-convolution', 3, 64, kernel=11, stride=4, padding=2)(torch.zeros(1, 3, 224, "
    "224))"
    ".shape\ntorch.Size([1, 64, 55, 55])",
    traits={**_TRIAL, "gives": (2, 4, 4, 4)},
)
def strided_convolution(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 2, padding: int = 0, bias: bool = True
) -> nn.Module:
    """Strided convolution: evaluated at every stride-th place."""
    return convolution(in_channels, out_channels, kernel, stride, padding, bias=bias)


@registered(
    kind="layer",
    name="valid-convolution",
    aliases=("valid", "unpadded-convolution"),
    formula="convolution with padding 0: H' = H − kernel + 1",
    shapes="(N, in_channels, H, W) → (N, out_channels, H − kernel + 1, W − kernel + 1)",
    when="where border pixels must not be made up",
    pitfalls="every layer takes kernel − 1 from each side's sum; deep networks run out of image",
    source=_LECUN,
    example=">>> get('valid-convolution', 1, 2, kernel=5)(torch.zeros(1, 1, 32, 32)).shape\n"
    "torch.Size([1, 2, 28, 28])",
    traits={**_TRIAL, "gives": (2, 4, 7, 7)},
)
def valid_convolution(in_channels: int, out_channels: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """Valid convolution: only where the kernel lies wholly within the image."""
    return convolution(in_channels, out_channels, kernel, bias=bias)


@registered(
    kind="layer",
    name="same-convolution",
    aliases=("same", "same-padding"),
    formula="H' = ⌈H / stride⌉; for stride 1 and an odd kernel, padding = (kernel − 1) / 2 on each side; an "
    "even kernel needs one more zero at the right and the bottom",
    shapes="(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)",
    when="deep networks, and branches whose maps are to be added or joined",
    pitfalls="(kernel − 1) / 2 holds for stride 1 and odd kernels only",
    source="Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016",
    differs="torch's padding='same' refuses strides; TensorFlow's agrees with this one",
    example=">>> get('same-convolution', 1, 2, kernel=4)(torch.zeros(1, 1, 9, 9)).shape\n"
    "torch.Size([1, 2, 9, 9])",
    traits={**_TRIAL, "gives": (2, 4, 9, 9)},
)
class SameConvolution(nn.Conv2d):
    """Same convolution: padded so that the output has the input's size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        for option, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
            check_count("same-convolution", option, value)
        super().__init__(in_channels, out_channels, kernel, stride=stride, dilation=dilation, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Pad as the input's size asks, the odd zero at the right and the bottom, and convolve."""
        pads: list[int] = []
        for size in (x.shape[-1], x.shape[-2]):
            stride, reach = self.stride[0], self.dilation[0] * (self.kernel_size[0] - 1) + 1
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


@registered(
    kind="layer",
    name="pointwise-convolution",
    aliases=("conv1x1", "1x1-convolution", "1x1", "network-in-network"),
    formula="z[:, i, j] = W x[:, i, j] + b: a fully connected layer over the channels of each pixel",
    shapes="(N, in_channels, H, W) → (N, out_channels, H, W)",
    when="to mix channels, or to have fewer of them before a larger convolution",
    pitfalls="linear: it adds a non-linearity only with an activation behind it",
    source="Lin, Chen and Yan, Network in Network, 2014",
    example=">>> get('conv1x1', 64, 16)(torch.zeros(1, 64, 7, 7)).shape\ntorch.Size([1, 16, 7, 7])",
    traits={**_TRIAL, "gives": (2, 4, 9, 9)},
)
def pointwise_convolution(in_channels: int, out_channels: int, bias: bool = True) -> nn.Module:
    """Convolution with a 1×1 kernel: mixes channels, not pixels."""
    return convolution(in_channels, out_channels, 1, bias=bias)


@registered(
    kind="layer",
    name="dilated-convolution",
    aliases=("dilated", "atrous-convolution", "a-trous"),
    formula="z[o, i, j] = b[o] + Σ w[o, c, m, n] · x[c, i + dilation · m, j + dilation · n]: a kernel that "
    "reaches over dilation · (kernel − 1) + 1 pixels",
    shapes="(N, in_channels, H, W) → the same H and W, for padding='same'",
    when="a wide receptive field without pooling: dilations 1, 2, 4, … double it in every layer",
    pitfalls="the same dilation above 1 in all layers leaves holes between the pixels that are seen "
    "(the calculator receptive-field counts them)",
    source="Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, 2016",
    example=">>> get('dilated-convolution', 1, 1, dilation=4)(torch.zeros(1, 1, 9, 9)).shape\n"
    "torch.Size([1, 1, 9, 9])",
    traits={**_TRIAL, "gives": (2, 4, 9, 9)},
)
def dilated_convolution(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    dilation: int = 2,
    padding: str = "same",
    bias: bool = True,
) -> nn.Module:
    """Dilated convolution: the kernel's weights lie apart."""
    if check_choice("dilated-convolution", "padding", padding, ("same", "valid")) == "same":
        return SameConvolution(in_channels, out_channels, kernel, dilation=dilation, bias=bias)
    return convolution(in_channels, out_channels, kernel, dilation=dilation, bias=bias)


@registered(
    kind="layer",
    name="depthwise-separable-convolution",
    aliases=("separable-convolution", "sepconv", "xception-unit"),
    formula="one kernel × kernel filter for each channel, then a 1×1 convolution with out_channels filters: "
    "in_channels · kernel² + in_channels · out_channels weights, 1/out_channels + 1/kernel² of those of a "
    "full convolution",
    shapes="(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)",
    when="small and fast networks for images",
    pitfalls="fewer multiplications, not always less time: the first part waits for memory",
    source="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2017",
    example=">>> sum(p.numel() for p in get('sepconv', 32, 64).parameters())\n2336",
    traits={**_TRIAL, "gives": (2, 4, 9, 9)},
)
def depthwise_separable(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, bias: bool = False
) -> nn.Module:
    """Depthwise separable convolution: space first, channel by channel, then channels."""
    check_count("depthwise-separable-convolution", "stride", stride)
    odd = check_count("depthwise-separable-convolution", "kernel", kernel) % 2 == 1
    spatial: nn.Module = (
        convolution(in_channels, in_channels, kernel, stride, kernel // 2, groups=in_channels, bias=bias)
        if odd
        else nn.Sequential(
            nn.ZeroPad2d((kernel // 2 - 1, kernel // 2) * 2),
            convolution(in_channels, in_channels, kernel, stride, groups=in_channels, bias=bias),
        )
    )
    return nn.Sequential(spatial, convolution(in_channels, out_channels, 1, bias=bias))
