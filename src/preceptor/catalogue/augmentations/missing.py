"""Inputs that may be missing: hidden at random in training, and marked by a mask beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.augmentations.pipeline import Augmentation

__all__ = ["MissingInputs"]


@registered(
    kind="augmentation",
    name="missing-inputs",
    aliases=("masked-inputs", "missing-indicator", "input-masking"),
    formula="m_d = 0 where x_d is missing (NaN), else 1; in training further ones are hidden: for each "
    "example "
    "u ~ U(0, share), m_d = 0 with probability u. The network sees (x ∘ m, m), 0 in place of what is missing",
    shapes="(N, D) → (N, 2D), (N, C, H, W) → (N, 2C, H, W)",
    when="some inputs may be absent when the network is used, whichever: one network for every mask, down to "
    "none of the inputs, where it gives the shares of the classes",
    pitfalls="what is missing for a reason (a test that only the ill are given) is not what is hidden at "
    "random here; a network that is always given all inputs does better without it",
    source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.1.1",
    differs="scikit-learn's MissingIndicator marks gaps, and leaves filling them to an imputer",
    example=">>> hide = get('missing-inputs').eval()\n"
    ">>> hide(torch.tensor([[2.0, float('nan')]]))\ntensor([[2., 0., 1., 0.]])",
    traits={"takes": (3, 3, 8, 8), "gives": (3, 6, 8, 8), "missing": True},
)
class MissingInputs(Augmentation):
    """Inputs that may be missing: zeros in their place, and a mask that says so."""

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.share = check_number("missing-inputs", "share", share, 0.0, 1.0)

    def vary(self, x: Tensor) -> Tensor:
        """Hide some of the inputs of each example, another share of each, and mark what is missing."""
        if not self.share:
            return self.fixed(x)
        often = self.share * torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype)
        return self.fixed(x.masked_fill(torch.rand_like(x) < often, torch.nan))

    def fixed(self, x: Tensor) -> Tensor:
        """Mark what is missing."""
        known = ~x.isnan()
        return torch.cat([x.nan_to_num(0.0), known.to(x.dtype)], 1)
