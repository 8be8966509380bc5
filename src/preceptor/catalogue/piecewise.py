"""Piecewise linear activations: the generalised rectifier with its special slopes; maxout; the step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError, ModelError

__all__ = ["Maxout", "Rectifier", "Step", "absolute_value", "generalized_rectifier", "heaviside", "prelu"]

_KIND = "activation"
_SHAPES = "any shape → the same shape"
_CHANNELS = "any shape with one slope; (N, C, …) with C slopes → the same shape"
_STEEPEST = 1e6


class Rectifier(nn.Module):
    """f(x) = max(0, x) + slope · min(0, x), with one fixed slope or one for each channel (axis 1).

    Slope 0 is ReLU, a small one leaky ReLU, −1 the absolute value; `torch.nn.PReLU` learns it.

    Raises:
        ConfigError: a slope is no finite number, or there are none.

    Example:
        >>> Rectifier(-1.0)(torch.tensor([-2.0, 3.0]))
        tensor([2., 3.])
        >>> Rectifier([2.0, 0.5])(torch.tensor([[-2.0, -2.0]]))
        tensor([[-4., -1.]])
    """

    slope: Tensor

    def __init__(self, slope: float | Sequence[float]) -> None:
        super().__init__()
        values = [slope] if isinstance(slope, (int, float)) else list(slope)
        if not values:
            raise ConfigError(
                "generalized-rectifier: slope is not usable",
                expected="a number, or one for each channel",
                received=f"slope={slope!r}",
            )
        checked = [check_number("generalized-rectifier", "slope", v, -_STEEPEST, _STEEPEST) for v in values]
        self.register_buffer("slope", torch.tensor(checked), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every element."""
        return nn.functional.prelu(x, self.slope.to(x.dtype))

    def extra_repr(self) -> str:
        """Return the slope, or how many there are."""
        return f"slope={self.slope.item():g}" if len(self.slope) == 1 else f"{len(self.slope)} slopes"


@registered(
    kind=_KIND,
    name="generalized-rectifier",
    aliases=("grelu", "generalised-rectifier"),
    formula="f(x) = max(0, x) + slope · min(0, x); slope = 0 is relu, 0.01 leaky-relu, −1 absolute-value, a "
    "learned slope prelu",
    shapes=_CHANNELS,
    when="to compare rectifiers that differ in one number, or to fix a slope for each channel",
    pitfalls="written as max(slope · x, x) it is another function for slopes above 1",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.3.1",
    example=">>> get('generalized-rectifier', slope=2.0)(torch.tensor([-1.0, 3.0]))\ntensor([-2.,  3.])",
)
def generalized_rectifier(slope: float | Sequence[float] = 0.0) -> nn.Module:
    """Generalised rectifier: one slope for positive inputs, any other for negative ones."""
    return Rectifier(slope)


@registered(
    kind=_KIND,
    name="absolute-value",
    aliases=("absolute-value-rectification", "absolute-value-rectifier", "abs", "absrect"),
    formula="f(x) = |x|: the generalised rectifier with slope −1; f′(x) = sign(x)",
    shapes=_SHAPES,
    when="images in which the sign of an edge does not matter, only that there is one",
    pitfalls="not monotone: two inputs share each output",
    source="Jarrett, Kavukcuoglu, Ranzato and LeCun, What Is the Best Multi-Stage Architecture for Object "
    "Recognition?, 2009",
    example=">>> get('absolute-value')(torch.tensor([-1.0, 3.0]))\ntensor([1., 3.])",
)
def absolute_value() -> nn.Module:
    """Absolute value rectification: a negative input counts like the positive one."""
    return Rectifier(-1.0)


@registered(
    kind=_KIND,
    name="prelu",
    aliases=("parametric-relu", "parametric-rectifier"),
    formula="f(x) = max(0, x) + a · min(0, x), a learned, one or one for each of num_parameters channels; it "
    "starts at init; ∂f/∂a = min(0, x)",
    shapes=_CHANNELS,
    when="large networks where a parameter for each channel costs nothing",
    pitfalls="weight decay on a pulls the unit towards ReLU: the regularizers leave it out, an optimizer's "
    "own weight_decay does not; written as max(a · x, x) it is wrong once a exceeds 1",
    source="He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015",
    differs="Keras learns one slope for every element unless axes are shared, and starts at 0, torch and "
    "this "
    "entry at 0.25",
    example=">>> get('prelu')(torch.tensor([-1.0, 3.0])).tolist()\n[-0.25, 3.0]",
)
def prelu(num_parameters: int = 1, init: float = 0.25) -> nn.Module:
    """Parametric rectified linear unit: the slope for negative inputs is learned."""
    return nn.PReLU(
        check_count("prelu", "num_parameters", num_parameters),
        check_number("prelu", "init", init, -_STEEPEST, _STEEPEST),
    )


@registered(
    kind=_KIND,
    name="maxout",
    formula="f(x)_j = max over i of z_{j·pieces + i}, i = 0…pieces − 1, z = W x + b the outputs of a layer "
    "pieces times as wide: the maximum of affine functions of the layer's input",
    shapes="(N, pieces · C, …) → (N, C, …), along axis dim",
    when="with dropout; where the shape of the activation itself should be learned: any convex function",
    pitfalls="acts on the input of a layer, so that the weights grow by the factor pieces: an mlp or lenet-5 "
    "widens its layers by itself, a network of your own has to",
    source="Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout Networks, 2013",
    example=">>> get('maxout')(torch.tensor([[1.0, 5.0, -2.0, -3.0]]))\ntensor([[ 5., -2.]])",
    traits={"pieces": 2},
)
class Maxout(nn.Module):
    """Maxout: the largest of several affine functions of the layer's input."""

    def __init__(self, pieces: int = 2, dim: int = 1) -> None:
        super().__init__()
        self.pieces = check_count("maxout", "pieces", pieces, 2)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum of each group of ``pieces`` neighbours along ``dim``."""
        dim = self.dim if x.ndim > 1 else 0
        if x.shape[dim] % self.pieces:
            raise ModelError(
                f"maxout of {self.pieces} pieces cannot divide its inputs into groups",
                expected=f"a multiple of {self.pieces} along axis {dim}",
                received=f"shape {tuple(x.shape)}",
                hint=f"a layer {self.pieces} times as wide before it",
            )
        groups = x.movedim(dim, -1).reshape(*x.movedim(dim, -1).shape[:-1], -1, self.pieces)
        return groups.amax(-1).movedim(-1, dim)

    def extra_repr(self) -> str:
        """Return the number of pieces."""
        return f"pieces={self.pieces}"


class Step(nn.Module):
    """f(x) = 0 for x < 0, 1 for x ≥ 0, with a gradient of zero.

    Example:
        >>> Step()(torch.tensor([-1.0, 0.0]))
        tensor([0., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return 1 where x is not negative, 0 elsewhere."""
        return ((x.sign() + 1) / 2).ceil()


@registered(
    kind=_KIND,
    name="heaviside",
    aliases=("step", "step-function", "binary-step", "unit-step"),
    formula="f(x) = 0 for x < 0, 1 for x ≥ 0; f′ = 0 everywhere",
    shapes=_SHAPES,
    when="to show why the perceptron's unit cannot be trained by gradients",
    pitfalls="the gradient is exactly zero: nothing before it ever learns",
    source="McCulloch and Pitts, 1943; Rosenblatt, The Perceptron, 1958",
    differs="torch.heaviside asks for the value at 0, and refuses to be differentiated",
    example=">>> get('heaviside')(torch.tensor([-1.0, 0.0, 3.0]))\ntensor([0., 1., 1.])",
    traits={"gradient": "zero"},
)
def heaviside() -> nn.Module:
    """Step (Heaviside) function: on or off."""
    return Step()
