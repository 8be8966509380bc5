"""More initializers: by fan-in with an activation's gain, of a fixed scale or value, and the identity."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.gains import gain_of
from preceptor.errors import ModelError

__all__ = [
    "constant",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "relu_bias",
    "standard_normal",
    "variance_scaling",
]

_KIND = "initializer"
_SHAPES = "weights (fan_out, fan_in, …), filled in place → the same tensor"
_ANY = "any shape, filled in place → the same tensor"
_LECUN = "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"


def _fans(owner: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ModelError(
            f"{owner} needs the fan-in and fan-out of a weight matrix",
            expected="a tensor with at least 2 dimensions",
            received=f"shape {tuple(tensor.shape)}",
            hint='"zeros" or "relu-bias" for a bias',
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _scaled(
    owner: str,
    tensor: Tensor,
    gain: float | str | nn.Module,
    mode: str = "fan_in",
    distribution: str = "normal",
) -> Tensor:
    """Fill with mean 0 and variance gain² / fan."""
    fan_in, fan_out = _fans(owner, tensor)
    check_choice(owner, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    std = gain_of(owner, gain) / math.sqrt(fan) if fan else 0.0
    if check_choice(owner, "distribution", distribution, ("normal", "uniform")) == "normal":
        return nn.init.normal_(tensor, 0.0, std)
    bound = math.sqrt(3.0) * std
    return nn.init.uniform_(tensor, -bound, bound)


@registered(
    kind=_KIND,
    name="variance-scaling",
    aliases=("gain-scaled",),
    formula="Var(w) = gain² / fan, fan = fan_in, fan_out or their mean (fan_avg) by mode; gain = 1 / "
    "√E[f(z)²], "
    "z ~ N(0, 1), of the activation f that the inputs come from: every layer's outputs have variance 1",
    shapes=_SHAPES,
    when="any activation: as a network's init it finds, for each layer, the activation before it",
    pitfalls="keeps the signal, not the gradient; a layer before which no activation is seen counts as fed "
    "by "
    "standardised inputs",
    source="Glorot and Bengio, 2010; He, Zhang, Ren and Sun, 2015",
    differs="Keras' VarianceScaling takes scale = gain² and truncates its normal",
    example=">>> round(get('variance-scaling', torch.empty(400, 900), activation='gelu').std().item(), 3)\n"
    "0.051",
    traits={"asks": "activation"},
)
def variance_scaling(
    tensor: Tensor,
    activation: str | float | nn.Module = "relu",
    mode: str = "fan_in",
    distribution: str = "normal",
) -> Tensor:
    """Variance by fan and by the gain of the activation before it: LeCun, Glorot and He in one."""
    return _scaled("variance-scaling", tensor, activation, mode, distribution)


@registered(
    kind=_KIND,
    name="lecun-normal",
    aliases=("lecun", "fan-in-normal", "xavier-gaussian"),
    formula="w ~ N(0, gain² / fan_in)",
    shapes=_SHAPES,
    when="tanh and linear layers; selu",
    pitfalls="before ReLU the mean square halves in each layer; lecture notes print it as Xavier's, which "
    "has "
    "2 / (fan_in + fan_out)",
    source=_LECUN,
    differs="Keras' lecun_normal truncates the normal; Caffe calls it xavier",
    example=">>> round(get('lecun-normal', torch.empty(500, 400)).std().item(), 2)\n0.05",
)
def lecun_normal(tensor: Tensor, gain: float | str = 1.0) -> Tensor:
    """LeCun initialisation from a normal distribution: variance 1 / fan_in."""
    return _scaled("lecun-normal", tensor, gain)


@registered(
    kind=_KIND,
    name="lecun-uniform",
    aliases=("fan-in-uniform",),
    formula="w ~ U(−b, b), b = gain · √(3 / fan_in): variance gain² / fan_in",
    shapes=_SHAPES,
    when="as lecun-normal, with bounded weights",
    pitfalls="torch's own layers start three times smaller in variance",
    source=_LECUN,
    example=">>> bool(get('lecun-uniform', torch.empty(99, 3)).abs().max() <= 1)\nTrue",
)
def lecun_uniform(tensor: Tensor, gain: float | str = 1.0) -> Tensor:
    """LeCun initialisation from a uniform distribution."""
    return _scaled("lecun-uniform", tensor, gain, distribution="uniform")


@registered(
    kind=_KIND,
    name="standard-normal",
    aliases=("large-normal", "large-random", "large", "randn"),
    formula="w ~ N(0, std²), std = 1 whatever the width",
    shapes=_ANY,
    when="to show what too large a start does: tanh units saturate, ReLU signals explode",
    pitfalls="each layer multiplies the deviation of its signal by √fan_in",
    source="Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010",
    example=">>> round(get('standard-normal', torch.empty(10_000)).std().item(), 1)\n1.0",
)
def standard_normal(tensor: Tensor, std: float = 1.0) -> Tensor:
    """Normal distribution of standard deviation one, too large for any hidden layer."""
    return nn.init.normal_(tensor, 0.0, check_number("standard-normal", "std", std, 0.0))


@registered(
    kind=_KIND,
    name="constant",
    aliases=("duplicated-units",),
    formula="w = value",
    shapes=_ANY,
    when="biases; to show that units which start equal stay equal",
    pitfalls="units with equal weights in and out get equal gradients for ever: the layer is worth one unit",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4",
    example=">>> get('constant', torch.empty(2), kind='initializer', value=0.5)\ntensor([0.5000, 0.5000])",
)
def constant(tensor: Tensor, value: float = 0.01) -> Tensor:
    """The same value everywhere."""
    return nn.init.constant_(tensor, check_number("constant", "value", value, -math.inf))


@registered(
    kind=_KIND,
    name="relu-bias",
    aliases=("positive-bias", "small-positive-bias"),
    formula="b = value > 0: the unit is active for inputs with wᵀx > −value",
    shapes="biases (fan_out,), filled in place → the same tensor",
    when="ReLU layers, as init.bias: most units are active for most examples at the start",
    pitfalls="texts give 0.1 as well as 0.01; with normalisation or He weights neither is needed",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.3.1",
    example=">>> get('relu-bias', torch.empty(2))\ntensor([0.1000, 0.1000])",
)
def relu_bias(tensor: Tensor, value: float = 0.1) -> Tensor:
    """Small positive bias, so that rectifiers start active."""
    return nn.init.constant_(tensor, check_number("relu-bias", "value", value, 0.0))


@registered(
    kind=_KIND,
    name="identity",
    aliases=("eye", "identity-matrix"),
    formula="w_ij = scale if i = j, else 0",
    shapes="weights (n, m), filled in place → the same tensor",
    when="the recurrent matrix of a ReLU network (with biases 0): state and gradient are kept over any time",
    pitfalls="for weights in a feedforward net all units of a layer merely copy inputs; a scale above 1 "
    "explodes "
    "over time",
    source="Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, "
    "2015",
    example=">>> get('identity', torch.empty(2, 2), kind='initializer')\ntensor([[1., 0.],\n"
    "        [0., 1.]])",
)
def identity(tensor: Tensor, scale: float = 1.0) -> Tensor:
    """Identity matrix, times a scale."""
    if tensor.ndim != 2:
        raise ModelError(
            "identity needs a matrix",
            expected="a tensor with 2 dimensions",
            received=f"shape {tuple(tensor.shape)}",
        )
    factor = check_number("identity", "scale", scale, -math.inf)
    with torch.no_grad():
        return nn.init.eye_(tensor).mul_(factor)
