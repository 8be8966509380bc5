"""How the weights of one optimizer travel: how far from where they began, and how straight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Path", "cosine", "kept"]

_MOST = 1 << 19


@dataclass(slots=True)
class Path:
    """Samples of the weights where they began, and at the look before; of what they were moved by there.

    Attributes:
        origin: the weights before the first update that was looked at.
        weights, change, gradient: before the latest update that was looked at, that update, its gradient.
    """

    origin: Tensor
    weights: Tensor
    change: Tensor
    gradient: Tensor | None

    @classmethod
    def begun(cls, weights: Tensor, change: Tensor, gradient: Tensor | None) -> Path | None:
        """Return a path that begins with this update; None where there is too much to keep."""
        return cls(weights, weights, change.clone(), _copy(gradient)) if weights.numel() <= _MOST else None

    def fits(self, weights: Tensor) -> bool:
        """Whether these are the same weights."""
        return self.origin.shape == weights.shape and self.origin.dtype is weights.dtype

    def advance(self, weights: Tensor, change: Tensor, gradient: Tensor | None) -> Tensor:
        """Go on to the next look; return Δ·Δ′, Δ·Δ, Δ′·Δ′ and, where gradients are known, g·s, g′·s.

        Δ = the update, g = its gradient; Δ′, g′ = those of the look before; s = what the weights moved in
        between.
        """
        products = [
            torch.dot(change, self.change),
            torch.dot(change, change),
            torch.dot(self.change, self.change),
        ]
        if gradient is not None and self.gradient is not None and gradient.shape == self.gradient.shape:
            moved = weights - self.weights
            products += [torch.dot(gradient, moved), torch.dot(self.gradient, moved)]
        # the updates and gradients given are written over by who gives them
        self.weights, self.change, self.gradient = weights, change.clone(), _copy(gradient)
        return torch.stack(products)


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()


def cosine(products: list[float]) -> float | None:
    """Return cos(Δ, Δ′) = Δ·Δ′ / (‖Δ‖ ‖Δ′‖) from what `Path.advance` gives; None where one of them is 0."""
    both = products[1] * products[2]
    if not 0 < both < math.inf or not math.isfinite(products[0]):
        return None
    return max(-1.0, min(1.0, products[0] / math.sqrt(both)))


def kept(products: list[float]) -> float | None:
    """Return (g·s) / (g′·s) from what `Path.advance` gives; None where gradients are unknown, or g′·s ≥ 0."""
    if len(products) < 5 or not products[4] < 0 or not all(map(math.isfinite, products[3:])):
        return None
    return products[3] / products[4]
