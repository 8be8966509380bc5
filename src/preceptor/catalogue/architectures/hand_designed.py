"""Features designed by hand, and a linear model of them: images before features were learned."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from preceptor.catalogue._registry import registered
from preceptor.catalogue.architectures._common import Init, check_images, initialize
from preceptor.catalogue.oriented_gradients import OrientedGradients

__all__ = ["HandDesigned"]

_CELLS = 8  # along the shorter side, where the cell is not given


@registered(
    kind="architecture",
    name="hand-designed-features",
    aliases=("handfeat", "hand-designed-feature-pipeline", "hog-linear", "feature-pipeline", "old-ml"),
    formula="z = W ψ(x) + b, ψ the histograms of oriented gradients, in which nothing is learned; with hinge "
    "and weight decay the detector of 2005. cell=None: an eighth of the shorter side, at least 2",
    shapes="(N, C, H, W) → (N, outputs); H and W at least 4, or block · cell",
    when="the base line that a convolutional network has to beat; few images",
    pitfalls="edges alone are seen: no colours, no textures finer than a cell",
    source="Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, 2005",
    differs="their classifier is a support vector machine: loss hinge; here the loss is the task's",
    example=">>> get('hand-designed-features', (1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape\n"
    "torch.Size([2, 10])",
    traits={"convex": True},
)
class HandDesigned(nn.Sequential):
    """Hand-designed features with a linear model: fixed histograms of gradients, learned weights."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: int,
        cell: int | None = None,
        orientations: int = 9,
        block: int = 2,
        init: Init = None,
    ) -> None:
        shape = check_images("hand-designed-features", inputs, outputs)
        features = OrientedGradients(
            max(2, min(shape[1:]) // _CELLS) if cell is None else cell, orientations, block
        )
        count = features.count(shape)
        super().__init__(features, nn.Linear(count, outputs))
        self.sizes: tuple[int, ...] = (count, outputs)
        initialize(self, init)
