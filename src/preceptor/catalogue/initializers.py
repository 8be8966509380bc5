"""Initializers: how weights start. Each fills a tensor in place from torch's generator and returns it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.gains import gain_of
from preceptor.errors import ModelError

__all__ = [
    "he_normal",
    "he_uniform",
    "normal",
    "orthogonal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

_KIND = "initializer"
_SHAPES = "weights (fan_out, fan_in, …), filled in place → the same tensor"
_ANY = "any shape, filled in place → the same tensor"
_HE = "He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015"
_GLOROT = "Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010"


def _weights(owner: str, tensor: Tensor) -> Tensor:
    if tensor.ndim < 2:
        raise ModelError(
            f"{owner} needs the fan-in and fan-out of a weight matrix",
            expected="a tensor with at least 2 dimensions",
            received=f"shape {tuple(tensor.shape)}",
            hint='"zeros" for a bias',
        )
    return tensor


def _mode(owner: str, mode: str) -> Literal["fan_in", "fan_out"]:
    return "fan_in" if check_choice(owner, "mode", mode, ("fan_in", "fan_out")) == "fan_in" else "fan_out"


@registered(
    kind=_KIND,
    name="he-normal",
    aliases=("kaiming-normal", "he", "kaiming"),
    formula="w ~ N(0, 2 / fan), fan = fan_in or fan_out by mode",
    shapes=_SHAPES,
    when="layers before a ReLU: keeps the size of the signal through depth",
    pitfalls="too large before tanh or a linear layer, where the factor 2 is not needed",
    source=_HE,
    differs="torch's function has the factor for leaky ReLU (a = 0) as this one; Keras truncates the normal",
    example=">>> round(get('he-normal', torch.empty(1000, 50)).std().item(), 1)\n0.2",
)
def he_normal(tensor: Tensor, mode: str = "fan_in") -> Tensor:
    """He (Kaiming) initialisation from a normal distribution, for ReLU."""
    return nn.init.kaiming_normal_(
        _weights("he-normal", tensor), mode=_mode("he-normal", mode), nonlinearity="relu"
    )


@registered(
    kind=_KIND,
    name="he-uniform",
    aliases=("kaiming-uniform",),
    formula="w ~ U(−b, b), b = √(6 / fan): variance 2 / fan",
    shapes=_SHAPES,
    when="as he-normal, with bounded weights",
    pitfalls="not what torch's layers do by default: they use a gain of 1/√3 in place of √2",
    source=_HE,
    differs="nn.Linear and nn.Conv2d start with kaiming_uniform_(a=√5), of variance 1/(3 fan_in)",
    example=">>> bool(get('he-uniform', torch.empty(99, 6)).abs().max() <= 1)\nTrue",
)
def he_uniform(tensor: Tensor, mode: str = "fan_in") -> Tensor:
    """He (Kaiming) initialisation from a uniform distribution, for ReLU."""
    return nn.init.kaiming_uniform_(
        _weights("he-uniform", tensor), mode=_mode("he-uniform", mode), nonlinearity="relu"
    )


@registered(
    kind=_KIND,
    name="xavier-normal",
    aliases=("glorot-normal",),
    formula="w ~ N(0, gain² · 2 / (fan_in + fan_out)); gain a number, or the name of an activation",
    shapes=_SHAPES,
    when="layers before tanh, sigmoid or a softmax",
    pitfalls="before ReLU the signal shrinks by √2 in each layer",
    source=_GLOROT,
    differs="some texts give the name to N(0, 1 / fan_in), which is LeCun's",
    example=">>> round(get('xavier-normal', torch.empty(300, 500)).std().item(), 2)\n0.05",
)
def xavier_normal(tensor: Tensor, gain: float | str = 1.0) -> Tensor:
    """Xavier (Glorot) initialisation from a normal distribution."""
    return nn.init.xavier_normal_(_weights("xavier-normal", tensor), gain_of("xavier-normal", gain))


@registered(
    kind=_KIND,
    name="xavier-uniform",
    aliases=("glorot-uniform",),
    formula="w ~ U(−b, b), b = gain · √(6 / (fan_in + fan_out)): variance gain² · 2 / (fan_in + fan_out)",
    shapes=_SHAPES,
    when="as xavier-normal, with bounded weights",
    pitfalls="the bound is √6 / √(fan_in + fan_out); with 6 in place of √6 the variance is six times too "
    "large",
    source=_GLOROT,
    example=">>> bool(get('xavier-uniform', torch.empty(3, 3)).abs().max() <= 1)\nTrue",
)
def xavier_uniform(tensor: Tensor, gain: float | str = 1.0) -> Tensor:
    """Xavier (Glorot) initialisation from a uniform distribution."""
    return nn.init.xavier_uniform_(_weights("xavier-uniform", tensor), gain_of("xavier-uniform", gain))


@registered(
    kind=_KIND,
    name="normal",
    aliases=("gaussian", "small-normal", "small-random", "small"),
    formula="w ~ N(mean, std²)",
    shapes=_ANY,
    when="embeddings and shallow networks; to show what a wrong scale does",
    pitfalls="the scale ignores the width: with std 0.01 the signal of a deep network dies, with std 1 it "
    "saturates",
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012 (std 0.01)",
    differs="torch.nn.init.normal_ has std 1 by default",
    example=">>> round(get('normal', torch.empty(10_000), std=0.5).std().item(), 1)\n0.5",
)
def normal(tensor: Tensor, mean: float = 0.0, std: float = 0.01) -> Tensor:
    """Normal distribution of a given mean and standard deviation."""
    return nn.init.normal_(tensor, mean, check_number("normal", "std", std, 0.0))


@registered(
    kind=_KIND,
    name="uniform",
    formula="w ~ U(low, high)",
    shapes=_ANY,
    when="where the range itself is prescribed",
    pitfalls="the scale ignores the width of the layer",
    source="by definition",
    differs="torch.nn.init.uniform_ draws from (0, 1) by default, Keras from (−0.05, 0.05) as here",
    example=">>> bool(get('uniform', torch.empty(100)).abs().max() <= 0.05)\nTrue",
)
def uniform(tensor: Tensor, low: float = -0.05, high: float = 0.05) -> Tensor:
    """Uniform distribution between two bounds."""
    return nn.init.uniform_(tensor, low, check_number("uniform", "high", high, low))


@registered(
    kind=_KIND,
    name="zeros",
    aliases=("zero", "all-zeros"),
    formula="w = 0",
    shapes=_ANY,
    when="biases; the weights of a purely linear model",
    pitfalls="with zero weights the hidden units of a network stay equal, and with tanh or ReLU never learn "
    "at all",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4",
    example=">>> get('zeros', torch.ones(2))\ntensor([0., 0.])",
)
def zeros(tensor: Tensor) -> Tensor:
    """All zero."""
    return nn.init.zeros_(tensor)


@registered(
    kind=_KIND,
    name="orthogonal",
    formula="w wᵀ = gain² · I (or wᵀ w, where there are more rows than columns), uniform over such matrices",
    shapes=_SHAPES,
    when="recurrent weights and very deep linear or tanh networks",
    pitfalls="needs a QR decomposition, slow for very large layers",
    source="Saxe, McClelland and Ganguli, Exact Solutions to the Dynamics of Deep Linear Networks, 2014",
    example=">>> w = get('orthogonal', torch.empty(3, 3))\n"
    ">>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)\nTrue",
)
def orthogonal(tensor: Tensor, gain: float | str = 1.0) -> Tensor:
    """Random orthogonal matrix: keeps the length of what passes through."""
    return nn.init.orthogonal_(_weights("orthogonal", tensor), gain_of("orthogonal", gain))
