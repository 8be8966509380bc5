"""Residual blocks: what the deep convolutional networks of the ResNet family are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.layers.skip import Residual
from preceptor.errors import ModelError

__all__ = ["BasicBlock", "BottleneckBlock", "PaddedShortcut", "PreActivationBlock", "make_unit"]

Activation: TypeAlias = str | nn.Module | Callable[[], nn.Module]

_HE = "He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016"
_SHAPES = "(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)"
_TRIAL = {"arguments": (4, 8), "takes": (2, 4, 6, 6), "gives": (2, 8, 6, 6)}


class PaddedShortcut(nn.Module):
    """Shortcut without weights: every stride-th pixel, and zeros for the new channels (option A).

    Example:
        >>> import torch
        >>> PaddedShortcut(2, 4, 2)(torch.ones(1, 2, 4, 4)).shape
        torch.Size([1, 4, 2, 2])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = out_channels - in_channels, stride
        if self.more < 0:
            raise ModelError(
                "zeros cannot be padded to fewer channels",
                expected=f"at least {in_channels} channels",
                received=f"{out_channels}",
                hint="shortcut='projection'",
            )

    def forward(self, x: Tensor) -> Tensor:
        """Take every stride-th pixel and append channels of zeros."""
        return functional.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


def _branch(plan: Sequence[tuple[int, ...]], activation: Activation, dropout: float = 0.0) -> nn.Sequential:
    """Return the planned convolutions, with normalisation and activation between them; dropout last."""
    first, *rest = plan
    branch = nn.Sequential(_conv(*first))
    for width, *sizes in rest:
        branch.extend([nn.BatchNorm2d(width), make_unit(activation), _conv(width, *sizes)])
    if dropout:
        branch.insert(len(branch) - 1, nn.Dropout(dropout))
    return branch


def make_unit(activation: Activation) -> nn.Module:
    """Make an activation that gives as many channels as it takes.

    Raises:
        ModelError: it takes several for one, as maxout does.

    Example:
        >>> make_unit("relu")
        ReLU()
    """
    unit = make_activation(activation)
    if getattr(unit, "pieces", 1) == 1:
        return unit
    raise ModelError(
        "the activation does not suit this network",
        expected="one output for each channel",
        received=repr(unit),
        hint="activation='relu'",
    )


def _inner(owner: str, out_channels: int, expansion: int, inner: int | None, groups: int) -> int:
    """Return the width of a bottleneck's middle: as given, or by the expansion."""
    width = max(1, out_channels // check_count(owner, "expansion", expansion))
    width = width if inner is None else check_count(owner, "inner", inner)
    if width % check_count(owner, "groups", groups):
        raise ModelError(
            f"{owner} cannot be built",
            expected=f"an inner width that divides into {groups} groups",
            received=f"{width} channels",
        )
    return width


def _shortcut(kind: str, in_channels: int, out_channels: int, stride: int, *, norm: bool) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    if check_choice("shortcut", "shortcut", kind, ("projection", "padding")) == "padding":
        return PaddedShortcut(in_channels, out_channels, stride)
    projection = _conv(in_channels, out_channels, 1, stride)
    return nn.Sequential(projection, nn.BatchNorm2d(out_channels)) if norm else projection


class _Activated(Residual):
    """Residual block with an activation behind the sum."""

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None, survival: float, activation: Activation
    ) -> None:
        super().__init__(branch, shortcut, survival)
        self.activation = make_unit(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to the shortcut, then activate."""
        activated: Tensor = self.activation(super().forward(x))
        return activated


@registered(
    kind="layer",
    name="basic-block",
    aliases=("residual-block", "resblock", "resnet-block"),
    formula="y = relu(shortcut(x) + BN conv₂ relu BN conv₁ x), both 3×3; where the shape changes, the "
    "shortcut "
    "is a 1×1 convolution with BN ('projection') or zeros for new channels ('padding'); relu stands for any "
    "activation",
    shapes=_SHAPES,
    when="residual networks of up to some 34 layers, and those for small images",
    pitfalls="the relu after the addition keeps the shortcut from being a clean identity",
    source=_HE,
    example=">>> sum(p.numel() for p in get('basic-block', 64, 64).parameters())\n73984",
    traits=_TRIAL,
)
class BasicBlock(_Activated):
    """Basic residual block: two 3×3 convolutions beside a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        shortcut: str = "projection",
        survival: float = 1.0,
        activation: Activation = "relu",
    ) -> None:
        check_count("basic-block", "stride", stride)
        plan = [(in_channels, out_channels, 3, stride), (out_channels, out_channels, 3)]
        branch = _branch(plan, activation).append(nn.BatchNorm2d(out_channels))
        past = _shortcut(shortcut, in_channels, out_channels, stride, norm=True)
        super().__init__(branch, past, survival, activation)


@registered(
    kind="layer",
    name="bottleneck-block",
    aliases=("residual-bottleneck", "bottleneck"),
    formula="y = relu(shortcut(x) + BN conv1×1 relu BN conv3×3 relu BN conv1×1 x), the inner width "
    "out_channels / expansion, or inner; stride and groups are the 3×3 convolution's; relu stands for any "
    "activation",
    shapes=_SHAPES,
    when="residual networks of 50 layers and more: three layers for the price of two",
    pitfalls="out_channels counts the wide end, expansion times the width of the 3×3 convolution",
    source=_HE,
    differs="the paper strides in the first 1×1 convolution; here, as in torchvision, in the 3×3",
    example=">>> sum(p.numel() for p in get('bottleneck-block', 256, 256).parameters())\n70400",
    traits=_TRIAL,
)
class BottleneckBlock(_Activated):
    """Bottleneck residual block: narrow by 1×1, 3×3 there, and wide again."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        expansion: int = 4,
        shortcut: str = "projection",
        survival: float = 1.0,
        inner: int | None = None,
        groups: int = 1,
        activation: Activation = "relu",
    ) -> None:
        owner = "bottleneck-block"
        check_count(owner, "stride", stride)
        width = _inner(owner, out_channels, expansion, inner, groups)
        plan = [(in_channels, width, 1), (width, width, 3, stride, groups), (width, out_channels, 1)]
        branch = _branch(plan, activation).append(nn.BatchNorm2d(out_channels))
        past = _shortcut(shortcut, in_channels, out_channels, stride, norm=True)
        super().__init__(branch, past, survival, activation)


@registered(
    kind="layer",
    name="pre-activation-block",
    aliases=("preact", "preactivation-block", "identity-mapping-block"),
    formula="a = relu(BN(x)); y = x + conv relu BN conv a ('basic', 3×3 twice) or "
    "x + conv1×1 relu BN conv3×3 relu BN conv1×1 a ('bottleneck'); where the shape changes, x is replaced by "
    "conv1×1(a); relu stands for any activation",
    shapes=_SHAPES,
    when="residual networks of hundreds of layers: nothing stands in the way of the identity",
    pitfalls="the network needs one more BN and relu after its last block; dropout, where there is any, goes "
    "before the last convolution",
    source="He, Zhang, Ren and Sun, Identity Mappings in Deep Residual Networks, 2016",
    example=">>> block = get('pre-activation-block', 16, 16)\n>>> type(block.shortcut).__name__\n'Identity'",
    traits=_TRIAL,
)
class PreActivationBlock(Residual):
    """Pre-activation residual block: normalise and rectify before each convolution, add and no more."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        form: str = "basic",
        expansion: int = 4,
        survival: float = 1.0,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        owner = "pre-activation-block"
        check_count(owner, "stride", stride)
        plan: list[tuple[int, ...]]
        if check_choice(owner, "form", form, ("basic", "bottleneck")) == "basic":
            plan = [(in_channels, out_channels, 3, stride), (out_channels, out_channels, 3)]
        else:
            inner = _inner(owner, out_channels, expansion, None, 1)
            plan = [(in_channels, inner, 1), (inner, inner, 3, stride), (inner, out_channels, 1)]
        branch = _branch(plan, activation, check_number(owner, "dropout", dropout, 0.0, 0.999))
        past = _shortcut("projection", in_channels, out_channels, stride, norm=False)
        super().__init__(branch, past, survival)
        self.preparation = nn.Sequential(nn.BatchNorm2d(in_channels), make_unit(activation))

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch; a projection starts from the prepared input, the identity from the raw one."""
        prepared = self.preparation(x)
        if isinstance(self.shortcut, nn.Identity):
            return self.joined(x, prepared)
        return self.joined(self.shortcut(prepared), prepared)
