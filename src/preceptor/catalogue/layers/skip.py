"""Connections that skip layers: added, or joined as further channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered
from preceptor.errors import ModelError

__all__ = ["Concatenation", "Residual"]


@registered(
    kind="layer",
    name="residual-connection",
    aliases=("additive-skip", "skip-connection", "skip-add", "shortcut", "residual"),
    formula="y = shortcut(x) + b · branch(x); in training b is 1 with probability survival and else 0, drawn "
    "once for a batch; at test b = survival. ∂y/∂x = shortcut′ + b · branch′",
    shapes="x of any shape → the shape that branch(x) and shortcut(x) have in common",
    when="networks of more than some ten layers",
    pitfalls="a branch of zeros makes the identity possible, which says nothing about whether training finds "
    "something better; after an addition of L branches the variance has grown L-fold",
    source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016; survival: Huang et "
    "al., Deep Networks with Stochastic Depth, 2016",
    differs="torchvision's StochasticDepth divides by survival in training, so that nothing is scaled at "
    "test",
    example=">>> get('residual-connection', torch.nn.Tanh())(torch.zeros(2))\ntensor([0., 0.])",
    traits={"arguments": lambda: (nn.Linear(3, 3),), "takes": (2, 3), "gives": (2, 3)},
)
class Residual(nn.Module):
    """Residual connection: a branch is added to what goes past it."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None, survival: float = 1.0) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.survival = check_number("residual-connection", "survival", survival, 0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch, or in training now and then leave it out."""
        return self.joined(self.shortcut(x), x)

    def joined(self, past: Tensor, x: Tensor) -> Tensor:
        """Add the branch of ``x`` to ``past``, as the survival and the mode ask."""
        if self.survival == 1.0:
            return self._add(past, self.branch(x))
        if not self.training:
            return self._add(past, self.survival * self.branch(x))
        return self._add(past, self.branch(x)) if torch.rand(()) < self.survival else past

    @staticmethod
    def _add(past: Tensor, branch: Tensor) -> Tensor:
        if past.shape != branch.shape:
            raise ModelError(
                "a branch cannot be added to its shortcut",
                expected=f"a branch that keeps the shape {tuple(past.shape)}",
                received=f"{tuple(branch.shape)}",
                hint="same padding, or a 1×1 convolution as shortcut",
            )
        return past + branch


@registered(
    kind="layer",
    name="concatenating-skip",
    aliases=("skip-concat", "concatenation", "dense-connection"),
    formula="y = [crop(x), branch(x)] along the channels; crop cuts x about its centre to the size of "
    "branch(x)",
    shapes="(N, C, H, W) → (N, C + C', H', W'), where branch(x) is (N, C', H', W'), H' ≤ H",
    when="DenseNet, U-Net: later layers see earlier maps unchanged",
    pitfalls="channels, and with them memory, grow with every joint",
    source="Ronneberger, Fischer and Brox, U-Net, 2015; Huang et al., DenseNet, 2017",
    example=">>> get('concatenating-skip', torch.nn.Conv2d(3, 8, 3))(torch.zeros(1, 3, 9, 9)).shape\n"
    "torch.Size([1, 11, 7, 7])",
    traits={"arguments": lambda: (nn.Conv2d(2, 3, 3),), "takes": (2, 2, 6, 6), "gives": (2, 5, 4, 4)},
)
class Concatenation(nn.Module):
    """Concatenating skip: the input's channels are kept beside the branch's."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Join the branch's channels to the input's, cut about its centre."""
        after = self.branch(x)
        spare = [before - now for before, now in zip(x.shape[2:], after.shape[2:], strict=True)]
        if min(spare, default=0) < 0:
            raise ModelError(
                "a branch cannot be joined to its input",
                expected=f"maps of at most {tuple(x.shape[2:])}",
                received=f"{tuple(after.shape[2:])}",
            )
        cut = [slice(s // 2, s // 2 + size) for s, size in zip(spare, after.shape[2:], strict=True)]
        return torch.cat([x[tuple([slice(None)] * 2 + cut)], after], dim=1)
