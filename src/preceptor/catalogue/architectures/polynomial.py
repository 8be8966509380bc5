"""Polynomial regression: a linear model of powers of the inputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_sizes, initialize
from preceptor.catalogue.feature_maps import PolynomialFeatures

__all__ = ["Polynomial"]


@registered(
    kind="architecture",
    name="polynomial",
    aliases=("polynomial-regression", "polynomial-model"),
    formula="z = W ψ(x) + b, ψ(x) = [x, x², …, x^degree], with interactions also the products of different "
    "inputs",
    shapes="(N, …) → (N, outputs); the example is flattened to D numbers",
    when="one or a few inputs and a curved relation; still linear in its weights, so that closed-form fits "
    "it",
    pitfalls="the training error falls with the degree, the validation error turns: choose the degree by it",
    source="Gergonne, 1815; Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1",
    example=">>> get('polynomial-regression', (1,), 1, degree=5)(torch.zeros(4, 1)).shape\ntorch.Size([4, "
    "1])",
    traits={"convex": True},
)
class Polynomial(nn.Sequential):
    """Polynomial model: every output is a weighted sum of powers of the inputs."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        degree: int = 3,
        interactions: bool = False,
        init: Init = None,
    ) -> None:
        _, width = check_sizes("polynomial", inputs, outputs)
        features = PolynomialFeatures(degree, interactions, bias=False)
        count = features.count(width)
        if interactions:
            features.terms(width)
        super().__init__(features, nn.Linear(count, outputs))
        self.sizes: tuple[int, ...] = (width, count, outputs)
        initialize(self, init)
