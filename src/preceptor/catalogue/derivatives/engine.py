"""Reverse-mode automatic differentiation in one sitting: gates, their local derivatives, the backward pass.

Every gate computes its value on the way forward and remembers, for each input, the local derivative. On the
way back each gate multiplies the gradient that arrives by those and hands the products on: addition passes
the gradient to both inputs, multiplication swaps the inputs' values, the maximum routes it to the larger
one. What is used twice receives twice, and the parts are added.
"""

from __future__ import annotations

import math

from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["Scalar", "scalar"]


class Scalar:
    """One number of a computation: its value, and after `backward` its gradient.

    Attributes:
        value: the number.
        grad: d out / d this, filled in by ``out.backward()``; 0 before.
        gate: the operator that made it; "" for an input.
        name: for display.

    Example:
        >>> x, y, z = Scalar(1.0, "x"), Scalar(-3.0, "y"), Scalar(4.0, "z")
        >>> f = (x + y) * z
        >>> f.backward()
        >>> f.value, x.grad, y.grad, z.grad
        (-8.0, 4.0, 4.0, -2.0)
    """

    def __init__(
        self, value: float, name: str = "", gate: str = "", edges: tuple[tuple[Scalar, float], ...] = ()
    ) -> None:
        self.value, self.name, self.gate, self.edges = float(value), name, gate, edges
        self.grad = 0.0

    def __repr__(self) -> str:
        return f"Scalar({self.name + ' = ' if self.name else ''}{self.value:g}, grad {self.grad:g})"

    def __add__(self, other: Scalar | float) -> Scalar:
        other = _lift(other)
        return Scalar(self.value + other.value, gate="+", edges=((self, 1.0), (other, 1.0)))

    def __mul__(self, other: Scalar | float) -> Scalar:
        other = _lift(other)
        edges = ((self, other.value), (other, self.value))
        return Scalar(self.value * other.value, gate="×", edges=edges)

    def __truediv__(self, other: Scalar | float) -> Scalar:
        other = _lift(other)
        edges = ((self, 1 / other.value), (other, -self.value / other.value**2))
        return Scalar(self.value / other.value, gate="/", edges=edges)

    def __pow__(self, power: float) -> Scalar:
        slope = power * self.value ** (power - 1) if power else 0.0
        return Scalar(self.value**power, gate=f"^{power:g}", edges=((self, slope),))

    def __neg__(self) -> Scalar:
        return self * -1.0

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self + -_lift(other)

    def __rsub__(self, other: float) -> Scalar:
        return _lift(other) - self

    def __rtruediv__(self, other: float) -> Scalar:
        return _lift(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def exp(self) -> Scalar:
        """Return eˣ, whose derivative is itself."""
        value = math.exp(self.value)
        return Scalar(value, gate="exp", edges=((self, value),))

    def log(self) -> Scalar:
        """Return ln x."""
        return Scalar(math.log(self.value), gate="log", edges=((self, 1 / self.value),))

    def tanh(self) -> Scalar:
        """Return tanh x, with the derivative 1 − tanh² x."""
        value = math.tanh(self.value)
        return Scalar(value, gate="tanh", edges=((self, 1 - value * value),))

    def sigmoid(self) -> Scalar:
        """Return 1 / (1 + e⁻ˣ) as one gate: σ (1 − σ) in place of the derivatives of −, exp, + and /."""
        value = 0.5 * (1 + math.tanh(self.value / 2))
        return Scalar(value, gate="σ", edges=((self, value * (1 - value)),))

    def relu(self) -> Scalar:
        """Return max(0, x); the derivative at 0 is taken as 0."""
        return Scalar(max(0.0, self.value), gate="relu", edges=((self, float(self.value > 0)),))

    def maximum(self, other: Scalar | float) -> Scalar:
        """Return the larger one; of equals each gets half of the gradient, as in torch."""
        other = _lift(other)
        share = 0.5 if self.value == other.value else float(self.value > other.value)
        return Scalar(max(self.value, other.value), gate="max", edges=((self, share), (other, 1 - share)))

    def order(self) -> list[Scalar]:
        """Return everything that this was computed from, and this last: each after what it depends on."""
        done: dict[int, Scalar] = {}
        stack: list[tuple[Scalar, bool]] = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                done.setdefault(id(node), node)
            elif id(node) not in done:
                stack.append((node, True))
                stack.extend((source, False) for source, _ in reversed(node.edges))
        return list(done.values())

    def backward(self) -> None:
        """Fill in the gradient of this with respect to everything that it was computed from."""
        order = self.order()
        for node in order:
            node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for source, slope in node.edges:
                source.grad += slope * node.grad


def _lift(number: Scalar | float) -> Scalar:
    return number if isinstance(number, Scalar) else Scalar(number)


@registered(
    kind="derivative",
    name="reverse-mode",
    aliases=("backpropagation", "gate-library", "gates", "mini-autodiff"),
    formula="forward: v = g(u₁, …), with ∂g/∂u_i kept; backward, from the output: ū_i += v̄ · ∂g/∂u_i",
    shapes="one number → a Scalar; + − × / **, exp, log, tanh, sigmoid, relu, maximum",
    when="to see how a gradient comes about, number by number",
    pitfalls="for learning, not for training: one Python object to a number",
    source="Linnainmaa, 1970; Rumelhart, Hinton and Williams, Learning Representations by Back-Propagating "
    "Errors, 1986",
    differs="the same gradients as torch, without tensors; backward starts from zero instead of adding up",
    example="""
        >>> x = get('reverse-mode', 3.0)
        >>> (x * x + x).backward()
        >>> x.grad
        7.0
        """,
)
def scalar(value: float, name: str = "") -> Scalar:
    """Reverse-mode automatic differentiation of scalar expressions, small enough to read."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError("a scalar is one number", expected="an int or float", received=repr(value)[:60])
    return Scalar(value, name)
