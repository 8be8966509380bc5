"""Activations: the nonlinear functions between layers, applied element by element."""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn

from preceptor.catalogue._checks import check_choice, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.errors import ConfigError

__all__ = [
    "ScaledTanh",
    "elu",
    "gelu",
    "identity",
    "leaky_relu",
    "make_activation",
    "relu",
    "scaled_tanh",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

_KIND = "activation"
_SHAPES = "any shape → the same shape"


def make_activation(choice: str | nn.Module | Callable[[], nn.Module]) -> nn.Module:
    """Make a new activation from a name of the catalogue, a module, or a callable that returns a module.

    A module is copied, so that two places in a network never share parameters by accident.

    Raises:
        UnknownName: no activation has that name.
        ConfigError: the choice is of another type, or the callable returned something else.

    Example:
        >>> make_activation("relu"), make_activation(nn.Tanh), make_activation(nn.ELU(0.5))
        (ReLU(), Tanh(), ELU(alpha=0.5))
    """
    if isinstance(choice, str):
        made = get(choice, kind=_KIND)
    elif isinstance(choice, nn.Module):
        made = copy.deepcopy(choice)
    else:
        made = _called(choice)
    if isinstance(made, nn.Module):
        return made
    raise ConfigError(
        "the activation is not usable",
        expected="a name, an nn.Module, or a callable that takes nothing and returns an nn.Module",
        received=repr(choice),
        hint='activation="relu", or activation=nn.ReLU',
    )


def _called(choice: object) -> object:
    try:
        return choice() if callable(choice) else None
    except TypeError:  # a function of a tensor, such as torch.relu
        return None


@registered(
    kind=_KIND,
    name="relu",
    aliases=("rectified-linear", "rectifier"),
    formula="f(x) = max(0, x); f′(x) = 1 for x > 0, else 0 (also at x = 0)",
    shapes=_SHAPES,
    when="the first choice for hidden layers of feedforward and convolutional networks",
    pitfalls="a unit whose input is negative for every example gets no gradient and stays dead; outputs are "
    "never negative, so it is no output unit",
    source="Nair and Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, 2010",
    example=">>> get('relu')(torch.tensor([-1.0, 0.0, 2.0]))\ntensor([0., 0., 2.])",
)
def relu() -> nn.Module:
    """Rectified linear unit: negative inputs become zero."""
    return nn.ReLU()


@registered(
    kind=_KIND,
    name="leaky-relu",
    aliases=("leaky", "leaky-rectifier"),
    formula="f(x) = x for x ≥ 0, negative_slope · x otherwise",
    shapes=_SHAPES,
    when="where units of a ReLU network die",
    pitfalls="for a negative_slope above 1 the form max(negative_slope · x, x) of some texts is another "
    "function",
    source="Maas, Hannun and Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013",
    differs="Keras uses a slope of 0.3 by default, torch and this entry 0.01",
    example=">>> get('leaky-relu')(torch.tensor([-1.0, 2.0]))\ntensor([-0.0100,  2.0000])",
)
def leaky_relu(negative_slope: float = 0.01) -> nn.Module:
    """Rectified linear unit with a small slope for negative inputs."""
    return nn.LeakyReLU(check_number("leaky-relu", "negative_slope", negative_slope, -1e6))


@registered(
    kind=_KIND,
    name="elu",
    aliases=("exponential-linear",),
    formula="f(x) = x for x > 0, alpha · (eˣ − 1) otherwise",
    shapes=_SHAPES,
    when="hidden layers without normalisation: mean outputs lie nearer to zero than ReLU's",
    pitfalls="the exponential costs more than ReLU; with alpha ≠ 1 the slope jumps at zero",
    source="Clevert, Unterthiner and Hochreiter, Fast and Accurate Deep Network Learning by ELUs, 2016",
    example=">>> get('elu')(torch.tensor([-1.0, 2.0]))\ntensor([-0.6321,  2.0000])",
)
def elu(alpha: float = 1.0) -> nn.Module:
    """Exponential linear unit: smooth saturation at −alpha for negative inputs."""
    return nn.ELU(check_number("elu", "alpha", alpha, 0.0))


@registered(
    kind=_KIND,
    name="gelu",
    aliases=("gaussian-error-linear",),
    formula="f(x) = x · Φ(x), Φ the normal distribution function; approximate='tanh': ½ x (1 + tanh(√(2/π) "
    "(x + 0.044715 x³)))",
    shapes=_SHAPES,
    when="transformers",
    pitfalls="the two forms differ by up to 5e-4: weights that were trained with one should be used with it",
    source="Hendrycks and Gimpel, Gaussian Error Linear Units, 2016",
    example=">>> get('gelu')(torch.tensor([-1.0, 2.0]))\ntensor([-0.1587,  1.9545])",
)
def gelu(approximate: str = "none") -> nn.Module:
    """Gaussian error linear unit: the input weighted by its normal quantile."""
    return nn.GELU(check_choice("gelu", "approximate", approximate, ("none", "tanh")))


@registered(
    kind=_KIND,
    name="silu",
    aliases=("swish",),
    formula="f(x) = x · σ(x), σ(x) = 1 / (1 + e⁻ˣ)",
    shapes=_SHAPES,
    when="deep convolutional networks; a smooth replacement of ReLU",
    pitfalls="not monotone: it falls to −0.278 at x = −1.278",
    source="Elfwing, Uchibe and Doya, Sigmoid-Weighted Linear Units, 2018; Ramachandran et al., 2017 (swish)",
    differs="swish with a factor β inside σ is this function for β = 1",
    example=">>> get('swish')(torch.tensor([-1.0, 2.0]))\ntensor([-0.2689,  1.7616])",
)
def silu() -> nn.Module:
    """Sigmoid linear unit: the input times its own sigmoid."""
    return nn.SiLU()


@registered(
    kind=_KIND,
    name="tanh",
    aliases=("hyperbolic-tangent",),
    formula="f(x) = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ) = 2 σ(2x) − 1; f′(x) = 1 − f(x)²",
    shapes=_SHAPES,
    when="recurrent networks, outputs that must lie in (−1, 1), small networks on standardised inputs",
    pitfalls="saturates: for |x| > 3 the gradient is below 0.01",
    source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
    example=">>> get('tanh')(torch.tensor([-1.0, 0.0, 2.0]))\ntensor([-0.7616,  0.0000,  0.9640])",
)
def tanh() -> nn.Module:
    """Hyperbolic tangent: an S-shaped function with values in (−1, 1)."""
    return nn.Tanh()


class ScaledTanh(nn.Module):
    """f(x) = scale · tanh(slope · x).

    Example:
        >>> import torch
        >>> ScaledTanh(2.0, 0.5)(torch.tensor([0.0, 2.0]))
        tensor([0.0000, 1.5232])
    """

    def __init__(self, scale: float, slope: float) -> None:
        super().__init__()
        self.scale = check_number("scaled-tanh", "scale", scale, 1e-6)
        self.slope = check_number("scaled-tanh", "slope", slope, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every element."""
        return self.scale * (self.slope * x).tanh()

    def extra_repr(self) -> str:
        """Return its numbers."""
        return f"scale={self.scale:g}, slope={self.slope:g}"


@registered(
    kind=_KIND,
    name="scaled-tanh",
    aliases=("lecun-tanh", "stretched-tanh"),
    formula="f(x) = scale · tanh(slope · x); with the defaults f(±1) = ±1, and the curvature is largest "
    "there",
    shapes=_SHAPES,
    when="the networks of the nineties, with targets of ±1",
    pitfalls="as tanh it saturates; any other size of inputs or targets loses what the numbers are made for",
    source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
    example=">>> get('scaled-tanh')(torch.tensor([-1.0, 0.0, 1.0]))\ntensor([-1.0000,  0.0000,  1.0000])",
)
def scaled_tanh(scale: float = 1.7159, slope: float = 2 / 3) -> nn.Module:
    """Scaled hyperbolic tangent: values in (−1.7159, 1.7159), and ±1 at ±1."""
    return ScaledTanh(scale, slope)


@registered(
    kind=_KIND,
    name="sigmoid",
    aliases=("logistic", "logistic-sigmoid", "sigmoid-gate"),
    formula="σ(x) = 1 / (1 + e⁻ˣ); one gate with σ′(x) = σ(x) (1 − σ(x)) = e⁻ˣ / (1 + e⁻ˣ)² = eˣ / (1 + eˣ)² "
    "≤ ¼",
    shapes=_SHAPES,
    when="gates; rarely hidden layers",
    pitfalls="saturates on both sides, is never negative, and its slope of at most ¼ makes the gradients of "
    "deep networks vanish",
    source="Rumelhart, Hinton and Williams, Learning Representations by Back-propagating Errors, 1986",
    example=">>> get('sigmoid', kind='activation')(torch.tensor([-1.0, 0.0]))\ntensor([0.2689, 0.5000])",
)
def sigmoid() -> nn.Module:
    """Logistic sigmoid: an S-shaped function with values in (0, 1)."""
    return nn.Sigmoid()


@registered(
    kind=_KIND,
    name="softplus",
    aliases=("soft-relu",),
    formula="f(x) = log(1 + e^(beta · x)) / beta; the identity where beta · x > threshold",
    shapes=_SHAPES,
    when="quantities that must be positive, such as a predicted variance",
    pitfalls="as a hidden unit it is usually no better than ReLU, and slower",
    source="Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing, 2001",
    example=">>> get('softplus')(torch.tensor([-1.0, 2.0]))\ntensor([0.3133, 2.1269])",
)
def softplus(beta: float = 1.0, threshold: float = 20.0) -> nn.Module:
    """Softplus: a smooth and positive form of ReLU."""
    return nn.Softplus(
        check_number("softplus", "beta", beta, 1e-6), check_number("softplus", "threshold", threshold, 0.0)
    )


@registered(
    kind=_KIND,
    name="identity",
    aliases=("linear", "none"),
    formula="f(x) = x",
    shapes=_SHAPES,
    when="a layer that is meant to be linear",
    pitfalls="two linear layers in a row are one linear layer",
    source="by definition",
    example=">>> get('identity', kind='activation')(torch.tensor([-1.0, 2.0]))\ntensor([-1.,  2.])",
)
def identity() -> nn.Module:
    """Identity: no nonlinearity."""
    return nn.Identity()
