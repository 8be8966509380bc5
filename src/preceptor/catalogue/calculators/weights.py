"""What an L2 penalty does to the weights, and where a normalisation stands."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._places import is_activation
from preceptor.catalogue._registry import registered

__all__ = ["normalization_order", "ridge_shift"]


@registered(
    kind="calculator",
    name="ridge-shift",
    aliases=("shift-w", "l2-shift"),
    formula="w̃ = Q (Λ + strength · I)⁻¹ Λ Qᵀ w*, H = Q Λ Qᵀ: along each eigenvector the optimum w* "
    "shrinks by "
    "λ / (λ + strength)",
    shapes="hessian (D, D), optimum (D,) → (D,)",
    when="to see what an L2 penalty does: it shrinks what the loss hardly cares about",
    pitfalls="exact for a quadratic loss; strength is that of the penalty ½ · strength · ‖w‖²",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.1.1",
    example=">>> get('ridge-shift', torch.diag(torch.tensor([9.0, 1.0])), torch.tensor([1.0, 1.0]))\n"
    "tensor([0.9000, 0.5000])",
)
def ridge_shift(hessian: Tensor, optimum: Tensor, strength: float = 1.0) -> Tensor:
    """Optimum of a quadratic loss under an L2 penalty."""
    alpha = check_number("ridge-shift", "strength", strength, 0.0)
    values, vectors = torch.linalg.eigh(hessian)
    shifted: Tensor = vectors @ (values / (values + alpha) * (vectors.T @ optimum))
    return shifted


@registered(
    kind="calculator",
    name="normalization-order",
    aliases=("bn-place", "normalization-placement"),
    formula="linear → normalisation → activation is the usual order",
    shapes="a model → a line for each activation that stands directly before a batch normalisation",
    when="networks of your own",
    pitfalls="sees neighbours within an nn.Sequential alone; the other order works too, and is a choice",
    source="Ioffe and Szegedy, Batch Normalization, 2015, section 3.2",
    example=">>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), "
    "torch.nn.BatchNorm1d(3))\n"
    ">>> get('normalization-order', model)\n['ReLU (1) comes before BatchNorm1d (2)']",
)
def normalization_order(model: nn.Module) -> list[str]:
    """Activations that come before a batch normalisation, where it usually stands before them."""
    found = []
    for prefix, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            for (a, first), (b, second) in pairwise(module.named_children()):
                if is_activation(first) and isinstance(second, _NormBase):
                    at = [f"{prefix}.{name}".removeprefix(".") for name in (a, b)]
                    names = [type(layer).__name__ for layer in (first, second)]
                    found.append(f"{names[0]} ({at[0]}) comes before {names[1]} ({at[1]})")
    return found
