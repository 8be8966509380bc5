"""Branches: layers side by side, whose maps are joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Branches"]


class Branches(nn.Module):
    """Gives the same input to every branch, and joins what they return along the channels.

    Example:
        >>> Branches(nn.Identity(), nn.Conv2d(3, 5, 1))(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches' maps."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)
