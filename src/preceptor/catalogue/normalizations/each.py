"""Normalisations of one example at a time: the same in training and at test, whatever the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["InstanceNorm", "LayerNorm", "RMSNorm", "group_norm", "local_response_norm"]

_MAPS = "(N, channels, …) → the same shape"
_TRIAL = {"arguments": (4,), "takes": (3, 4, 5, 5), "gives": (3, 4, 5, 5)}


@registered(
    kind="normalization",
    name="layer-norm",
    aliases=("layer-normalization", "layernorm", "ln"),
    formula="y = γ (x − μ) / √(σ² + eps) + β, μ and σ² (divided by n) of one example over the last axes, "
    "whose "
    "sizes are shape; γ and β one for each entry",
    shapes="(…, shape) → the same shape",
    when="transformers and recurrent networks; batches of any size, also of one",
    pitfalls="on images it normalises whole maps against each other: weak in convolutional networks",
    source="Ba, Kiros and Hinton, Layer Normalization, 2016",
    example=">>> get('layer-norm', 3)(torch.tensor([[1.0, 2.0, 3.0]])).detach().round(decimals=3)\n"
    "tensor([[-1.2250,  0.0000,  1.2250]])",
    traits={"arguments": (5,), "takes": (3, 4, 5), "gives": (3, 4, 5), "axes": (2,)},
)
class LayerNorm(nn.LayerNorm):
    """Layer normalisation: each example with mean 0 and variance 1 over its features."""

    def __init__(self, shape: int | Sequence[int], eps: float = 1e-5, affine: bool = True) -> None:
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        for size in sizes:
            check_count("layer-norm", "shape", size)
        super().__init__(sizes, check_number("layer-norm", "eps", eps, 0.0), elementwise_affine=affine)


@registered(
    kind="normalization",
    name="rms-norm",
    aliases=("rmsnorm", "root-mean-square-norm"),
    formula="y = γ x / √(mean(x²) + eps), the mean of one example over the last axis",
    shapes="(…, features) → the same shape",
    when="large transformers: layer-norm without the mean, and a little faster",
    pitfalls="the mean stays in",
    source="Zhang and Sennrich, Root Mean Square Layer Normalization, 2019",
    example=">>> get('rms-norm', 2)(torch.tensor([[3.0, 4.0]])).detach().round(decimals=3)\n"
    "tensor([[0.8490, 1.1310]])",
    traits={"arguments": (5,), "takes": (3, 4, 5), "gives": (3, 4, 5)},
)
class RMSNorm(nn.Module):
    """Root-mean-square normalisation: each example with a mean square of 1."""

    def __init__(self, features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = check_number("rms-norm", "eps", eps, 0.0)
        self.weight = nn.Parameter(torch.ones(check_count("rms-norm", "features", features)))

    def forward(self, x: Tensor) -> Tensor:
        """Divide by the root of the mean square."""
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


@registered(
    kind="normalization",
    name="instance-norm",
    aliases=("instance-normalization", "contrast-normalization", "in"),
    formula="group-norm with groups = channels: mean and variance of each map of each example",
    shapes=_MAPS,
    when="style transfer: an image's contrast is taken out",
    pitfalls="how strongly a feature is present, as a whole, is lost; maps of one pixel become 0",
    source="Ulyanov, Vedaldi and Lempitsky, Instance Normalization, 2016",
    differs="torch's nn.InstanceNorm2d has no γ and β unless asked for",
    example=">>> get('instance-norm', 1)(torch.tensor([[[1.0, 3.0]]])).detach().round(decimals=3)\n"
    "tensor([[[-1.,  1.]]])",
    traits={**_TRIAL, "axes": (2, 3)},
)
class InstanceNorm(nn.GroupNorm):
    """Instance normalisation: each map of each example by itself."""

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        count = check_count("instance-norm", "channels", channels)
        super().__init__(count, count, check_number("instance-norm", "eps", eps, 0.0), affine)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise every map; one value alone has no variance."""
        if math.prod(input.shape[2:]) < 2 and self.training:
            raise ModelError(
                "instance-norm has one value to a map",
                expected="maps of at least two values",
                received=f"{tuple(input.shape)}",
                hint='"layer-norm"',
            )
        return super().forward(input)


@registered(
    kind="normalization",
    name="group-norm",
    aliases=("group-normalization", "groupnorm", "gn"),
    formula="y = γ (x − μ) / √(σ² + eps) + β, μ and σ² of one example over the channels / groups maps of a "
    "group; γ and β one for each channel; groups=1: layer-norm over (C, H, W), groups=channels: "
    "instance-norm",
    shapes=_MAPS,
    when="convolutional networks whose batches are too small for batch-norm: detection, segmentation",
    pitfalls="groups must divide channels; groups=None takes 32, or the largest divisor below",
    source="Wu and He, Group Normalization, 2018",
    example=">>> get('group-norm', 64).num_groups, get('group-norm', 6).num_groups\n(32, 6)",
    traits=_TRIAL,
)
def group_norm(channels: int, groups: int | None = None, eps: float = 1e-5, affine: bool = True) -> nn.Module:
    """Group normalisation: each group of maps of each example by itself."""
    check_count("group-norm", "channels", channels)
    if groups is None:
        groups = next(g for g in range(min(32, channels), 0, -1) if channels % g == 0)
    if channels % check_count("group-norm", "groups", groups):
        raise ModelError(
            "group-norm cannot form its groups",
            expected=f"a divisor of {channels} channels",
            received=f"groups={groups}",
        )
    return nn.GroupNorm(groups, channels, check_number("group-norm", "eps", eps, 0.0), affine)


@registered(
    kind="normalization",
    name="local-response-norm",
    aliases=("lrn", "local-response-normalization"),
    formula="y[c] = x[c] / (k + alpha / size · Σ x[c']²)^beta, the sum over the size channels around c",
    shapes=_MAPS,
    when="to build AlexNet and GoogLeNet as they were",
    pitfalls="batch-norm does more, for less",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012",
    differs="the paper's alpha is not divided by size; its α = 1e-4 with size 5 is alpha=5e-4 here",
    example=">>> get('local-response-norm', 4)(torch.ones(1, 4, 1, 1)).shape\ntorch.Size([1, 4, 1, 1])",
    traits=_TRIAL,
)
def local_response_norm(
    channels: int, size: int = 5, alpha: float = 5e-4, beta: float = 0.75, k: float = 2.0
) -> nn.Module:
    """Local response normalisation: neighbouring maps damp each other."""
    check_count("local-response-norm", "channels", channels)
    return nn.LocalResponseNorm(check_count("local-response-norm", "size", size), alpha, beta, k)
