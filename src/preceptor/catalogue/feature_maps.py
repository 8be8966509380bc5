"""Feature maps: fixed functions of the inputs, after which a linear model can do more."""

from __future__ import annotations

import math
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.errors import ConfigError

__all__ = ["PolynomialFeatures", "ProductFeatures"]

_KIND = "feature-map"
_MOST = 1_000_000  # features; more would not fit beside their weights


@registered(
    kind=_KIND,
    name="polynomial-features",
    aliases=("polynomial-feature-map", "polymap", "basis-expansion"),
    formula="ψ(x) = [1, x, x², …, x^degree] for one number; for D numbers all products of at most degree of "
    "them (interactions), or the powers of each alone; the 1 only with bias",
    shapes="(N, …) → (N, features); of D inputs C(D + degree, degree) features with interactions, 1 + D · "
    "degree without",
    when="one or a few inputs and a curved relation; choose the degree by validation",
    pitfalls="powers of unscaled inputs are of very different size: standardise first; a high degree "
    "follows the noise, and runs away outside the range of the data",
    source="Gergonne, 1815; Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1",
    differs="scikit-learn's PolynomialFeatures in order and number with interactions, on tensors",
    example="""
        >>> get('polynomial-features', degree=3)(torch.tensor([[2.0]]))
        tensor([[1., 2., 4., 8.]])
        """,
)
class PolynomialFeatures(nn.Module):
    """Polynomial feature map: powers and products of the inputs."""

    def __init__(self, degree: int = 2, interactions: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.degree = check_count("polynomial-features", "degree", degree)
        self.interactions, self.bias = interactions, bias

    def terms(self, inputs: int) -> list[tuple[int, ...]]:
        """Return, for every feature, the indices of the inputs that are multiplied; () is the 1.

        Raises:
            ConfigError: there are more than a million.
        """
        degrees = range(0 if self.bias else 1, self.degree + 1)
        count = self.count(inputs)
        if count > _MOST:
            raise ConfigError(
                "the polynomial has too many features",
                expected=f"at most {_MOST:,}",
                received=f"{count:,} from {inputs} inputs at degree {self.degree}",
                hint="a lower degree, or interactions=False",
            )
        if self.interactions:
            return [c for d in degrees for c in combinations_with_replacement(range(inputs), d)]
        return [()] * self.bias + [(i,) * d for d in range(1, self.degree + 1) for i in range(inputs)]

    def count(self, inputs: int) -> int:
        """Return the number of features of that many inputs."""
        if self.interactions:
            return math.comb(inputs + self.degree, self.degree) - (not self.bias)
        return inputs * self.degree + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (N, features)."""
        x = x.flatten(1) if x.ndim > 1 else x[:, None]
        if not self.interactions:
            powers = [x**d for d in range(1, self.degree + 1)]
            return torch.cat([x.new_ones(len(x), 1)] * self.bias + powers, 1)
        return _products(x, self.terms(x.shape[1]))


@registered(
    kind=_KIND,
    name="product-features",
    aliases=("interaction-features", "xor-map", "xor-features"),
    formula="ψ(x) = [x₁, …, x_D, x₁x₂, x₁x₃, …]: the inputs and the products of at most degree different "
    "ones",
    shapes="(N, D) → (N, D + D(D − 1)/2) at degree 2",
    when="effects that depend on each other; the smallest map that makes XOR linearly separable",
    pitfalls="no squares: use polynomial-features for curved relations",
    source="Minsky and Papert, Perceptrons, 1969",
    differs="scikit-learn's PolynomialFeatures(interaction_only=True, include_bias=False)",
    example="""
        >>> get('xor-map')(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
        tensor([[0., 1., 0.],
                [1., 1., 1.]])
        """,
)
class ProductFeatures(nn.Module):
    """Product feature map: the inputs and the products of different inputs."""

    def __init__(self, degree: int = 2) -> None:
        super().__init__()
        self.degree = check_count("product-features", "degree", degree)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (N, features)."""
        x = x.flatten(1)
        degrees = range(1, min(self.degree, x.shape[1]) + 1)
        return _products(x, [c for d in degrees for c in combinations(range(x.shape[1]), d)])


def _products(x: Tensor, terms: list[tuple[int, ...]]) -> Tensor:
    return torch.stack([x[:, list(t)].prod(1) if t else x.new_ones(len(x)) for t in terms], 1)
