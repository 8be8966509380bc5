"""Standardisation of inputs by what the training examples showed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._registry import registered
from preceptor.errors import DataError

__all__ = ["InputStandardization"]


@registered(
    kind="normalization",
    name="input-standardization",
    aliases=("standardization", "standard-scaler", "z-score", "std-in"),
    formula="y = (x − μ) / σ for each feature (N, D) or channel (N, C, …), μ and σ (divided by n) of the "
    "training examples; 0 where σ = 0",
    shapes="training examples x (N, D) or (N, C, …) → a module that maps (…) to the same shape",
    when="always, unless inputs share a unit: it makes the least-squares problem better conditioned",
    pitfalls="statistics from validation or test examples leak them into the training; dependence between "
    "features stays",
    source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998",
    differs="scikit-learn's StandardScaler divides constant features by 1; a training by name standardises "
    "by "
    "itself, data.scale='standard'",
    example=">>> scale = get('input-standardization', torch.tensor([[1.0, 5.0], [3.0, 5.0]]))\n"
    ">>> scale(torch.tensor([[2.0, 5.0], [5.0, 6.0]]))\ntensor([[0., 0.],\n        [3., 0.]])",
    traits={"arguments": (torch.arange(12.0).reshape(6, 2),), "takes": (5, 2), "gives": (5, 2)},
)
class InputStandardization(nn.Module):
    """Input standardisation: each feature with the training examples' mean 0 and variance 1."""

    mean: Tensor
    factor: Tensor

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        if x.ndim < 2 or not len(x):
            raise DataError(
                "there is nothing to standardise by",
                expected="training examples (N, D) or (N, C, …)",
                received=f"shape {tuple(x.shape)}",
            )
        axes = [axis for axis in range(x.ndim) if axis != 1]
        wide = x.double()
        deviation, mean = torch.std_mean(wide, axes, correction=0, keepdim=True)
        flat = deviation <= 1e-14 * mean.abs()
        self.register_buffer("mean", mean[0].to(x.dtype))
        self.register_buffer("factor", torch.where(flat, 0.0, 1 / deviation)[0].to(x.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise by the statistics of the training examples."""
        return (x - self.mean) * self.factor
