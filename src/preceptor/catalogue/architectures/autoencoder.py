"""Autoencoders: an encoder to a small code, and a decoder that makes the input from it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.activations import make_activation
from preceptor.catalogue.architectures._common import (
    Init,
    check_images,
    check_sizes,
    initialize,
    pieces_of,
)
from preceptor.catalogue.layers.upsampling import transposed_convolution
from preceptor.errors import ConfigError, ModelError

__all__ = ["Autoencoder", "ConvolutionalAutoencoder"]

_Activation = str | nn.Module | Callable[[], nn.Module]
_BOTTLENECK = "Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, 2006"


class _Coder(nn.Module):
    """x̂ = decoder(encoder(x + noise · ε)), ε ~ N(0, 1) in training alone."""

    encoder: nn.Sequential
    decoder: nn.Sequential
    noise: float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return what the decoder makes of the code, in the shape of the input."""
        return self.decode(self.encode(x))

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of a batch."""
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Return what the codes stand for."""
        made: Tensor = self.decoder(code)
        return made


@registered(
    kind="architecture",
    name="autoencoder",
    aliases=("fully-connected-autoencoder", "auto-encoder"),
    formula="c = W_k f(… f(W₁ x + b₁) …) + b_k of code numbers, through layers of hidden units; x̂ = the same "
    "layers backwards; noise > 0: x + noise · ε in training, ε ~ N(0, 1)",
    shapes="(N, D) → (N, outputs), (N, C, H, W) → (N, outputs, H, W)",
    when="data without labels: few numbers that stand for each example; as a start for a classifier",
    pitfalls="with a code as wide as the input it copies; linear ones find no more than principal components "
    "do; with an activation that is bounded no output leaves its range",
    source=_BOTTLENECK,
    differs="no tied weights: layers.weight tying is the regularizer parameter-tying",
    example=">>> net = get('autoencoder', (64,), 64, hidden=(32,), code=5)\n"
    ">>> net(torch.zeros(2, 64)).shape, net.encode(torch.zeros(2, 64)).shape\n"
    "(torch.Size([2, 64]), torch.Size([2, 5]))",
    traits={"dense": True},
)
class Autoencoder(_Coder):
    """Autoencoder of fully connected layers."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        hidden: int | Sequence[int] = (128,),
        code: int = 32,
        noise: float = 0.0,
        activation: _Activation = "relu",
        init: Init = None,
    ) -> None:
        super().__init__()
        shape, width = check_sizes("autoencoder", inputs, outputs)
        check_count("autoencoder", "code", code)
        self.noise = check_number("autoencoder", "noise", noise, 0.0)
        if pieces_of(make_activation(activation)) > 1:
            raise ConfigError(
                "autoencoder: activation is not usable",
                expected="an activation that keeps the width",
                received=repr(activation),
            )
        layers = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        made = (outputs, *shape[1:])
        sizes = (width, *layers, code)
        back = (*sizes[:0:-1], math.prod(made))
        self.encoder = nn.Sequential(nn.Flatten(), *_layers(sizes, activation))
        self.decoder = nn.Sequential(*_layers(back, activation), nn.Unflatten(1, made))
        self.sizes: tuple[int, ...] = (*sizes, *back[1:-1], outputs)
        initialize(self, init)


def _layers(sizes: Sequence[int], activation: _Activation) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), make_activation(activation)]
    return layers[:-1]  # codes and outputs of any sign and size


@registered(
    kind="architecture",
    name="denoising-autoencoder",
    aliases=("dae",),
    formula="the autoencoder that is shown x + noise · ε in training, ε ~ N(0, 1), and must give back x",
    shapes="(N, D) → (N, outputs), (N, C, H, W) → (N, outputs, H, W)",
    when="codes that do not hang on single inputs; a code may then be wider than the input",
    pitfalls="noise is in units of the inputs, which are standardised by default",
    source="Vincent, Larochelle, Bengio and Manzagol, Extracting and Composing Robust Features with "
    "Denoising Autoencoders, 2008",
    differs="the paper sets inputs to zero; here they are disturbed. The task denoising measures the "
    "denoising itself, with any model",
    example=">>> net = get('denoising-autoencoder', (1, 8, 8), 1)\n"
    ">>> x = torch.zeros(1, 1, 8, 8)\n"
    ">>> torch.equal(net(x), net(x)), torch.equal(net.eval()(x), net(x))\n(False, True)",
    traits={"dense": True},
)
def denoising_autoencoder(
    inputs: Sequence[int],
    outputs: int,
    hidden: int | Sequence[int] = (128,),
    code: int = 32,
    noise: float = 0.5,
    activation: _Activation = "relu",
    init: Init = None,
) -> nn.Module:
    """Denoising autoencoder: learns from disturbed inputs to give back the clean ones."""
    return Autoencoder(inputs, outputs, hidden, code, noise, activation, init)


@registered(
    kind="architecture",
    name="convolutional-autoencoder",
    aliases=("conv-autoencoder",),
    formula="depth times: 3×3 convolution, activation, max-pooling 2, base · 2^level maps; a 1×1 convolution "
    "to code maps; depth times: 2×2 transposed convolution with stride 2 and activation; at last 3×3 to "
    "outputs",
    shapes="(N, C, H, W) → (N, outputs, H, W), H and W multiples of 2^depth; the code is (N, code, "
    "H/2^depth, W/2^depth)",
    when="images: few maps that stand for them, wherever things lie",
    pitfalls="fine detail goes the way of the pooling: u-net, whose skips keep it, denoises better, and for "
    "the same reason compresses nothing",
    source="Masci, Meier, Cireşan and Schmidhuber, Stacked Convolutional Auto-Encoders, 2011",
    example=">>> net = get('convolutional-autoencoder', (1, 28, 28), 1, base=4)\n"
    ">>> net(torch.zeros(2, 1, 28, 28)).shape, net.encode(torch.zeros(2, 1, 28, 28)).shape\n"
    "(torch.Size([2, 1, 28, 28]), torch.Size([2, 8, 7, 7]))",
    traits={"dense": True},
)
class ConvolutionalAutoencoder(_Coder):
    """Autoencoder of convolutions and transposed convolutions."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        base: int = 16,
        depth: int = 2,
        code: int = 8,
        noise: float = 0.0,
        activation: _Activation = "relu",
        init: Init = None,
    ) -> None:
        super().__init__()
        owner = "convolutional-autoencoder"
        channels, *_ = check_images(owner, inputs, outputs)
        for option, value in (("base", base), ("depth", depth), ("code", code)):
            check_count(owner, option, value)
        self.noise = check_number(owner, "noise", noise, 0.0)
        sides = tuple(inputs)[1:]
        if any(side % (1 << depth) for side in sides):
            raise ModelError(
                f"{owner} cannot halve these images",
                expected=f"sides that are multiples of 2^depth = {1 << depth}",
                received="×".join(map(str, sides)),
                hint="a smaller depth, or the model u-net, which takes any size",
            )
        widths = [base << level for level in range(depth)]
        down: list[nn.Module] = []
        for before, width in zip([channels, *widths], widths, strict=False):
            wide = width * pieces_of(make_activation(activation))
            down += [nn.Conv2d(before, wide, 3, padding=1), make_activation(activation), nn.MaxPool2d(2)]
        up: list[nn.Module] = []
        for before, width in zip([code, *widths[::-1]], widths[::-1], strict=False):
            wide = width * pieces_of(make_activation(activation))
            up += [transposed_convolution(before, wide), make_activation(activation)]
        self.encoder = nn.Sequential(*down, nn.Conv2d(widths[-1], code, 1))
        self.decoder = nn.Sequential(*up, nn.Conv2d(base, outputs, 3, padding=1))
        self.sizes: tuple[int, ...] = (*widths, code, *widths[::-1], outputs)
        initialize(self, init)
