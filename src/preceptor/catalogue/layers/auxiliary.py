"""Auxiliary heads: outputs from the middle of a deep network, which take part in training alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._registry import registered

__all__ = ["AuxiliaryHead", "auxiliary_outputs"]


@registered(
    kind="layer",
    name="auxiliary-head",
    aliases=("auxiliary-classifier", "deep-supervision", "aux-head"),
    formula="y = x; in training head(x) is kept as well, and the training minimises L(output) + Σ weight · "
    "L(head(x)) over the heads; in evaluation the head is not computed",
    shapes="any shape that the head takes → the same shape",
    when="networks so deep that gradients hardly reach the first layers, and that have no shortcuts",
    pitfalls="in a loop of your own the heads' losses must be added: without, their weights never learn; "
    "with batch normalisation and shortcuts they gain little",
    source="Szegedy et al., Going Deeper with Convolutions, 2015; Lee et al., Deeply-Supervised Nets, 2015",
    differs="torchvision's networks return the heads' outputs in training in place of one tensor",
    example="""
    >>> model = torch.nn.Sequential(get('auxiliary-head', torch.nn.Linear(4, 3)), torch.nn.Linear(4, 3))
    >>> model(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    >>> from preceptor.catalogue.layers import auxiliary_outputs
    >>> [(weight, tuple(output.shape)) for weight, output in auxiliary_outputs(model)]
    [(0.3, (2, 3))]
    """,
    traits={"arguments": lambda: (nn.Linear(3, 2),), "takes": (2, 3), "gives": (2, 3)},
)
class AuxiliaryHead(nn.Module):
    """Auxiliary head: a second way to the loss, on which gradients reach early layers sooner."""

    def __init__(self, head: nn.Module, weight: float = 0.3) -> None:
        super().__init__()
        self.head = head
        self.weight = check_number("auxiliary-head", "weight", weight, 0.0)
        self.output: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Let pass; in training keep the head's output for the loss."""
        self.output = self.head(x) if self.training else None
        return x

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "output": None}  # what belongs to a graph cannot be copied


def auxiliary_outputs(model: nn.Module) -> list[tuple[float, Tensor]]:
    """Return weight and output of each auxiliary head in the latest pass in training, and forget them.

    In a loop of your own:
    ``loss = criterion(model(x), y) + sum(w * criterion(z, y) for w, z in auxiliary_outputs(model))``.

    Example:
        >>> import torch
        >>> model = AuxiliaryHead(nn.Linear(2, 3), weight=0.5)
        >>> _ = model(torch.zeros(1, 2))
        >>> [weight for weight, _ in auxiliary_outputs(model)], auxiliary_outputs(model)
        ([0.5], [])
    """
    taken = []
    for module in model.modules():
        if isinstance(module, AuxiliaryHead) and module.output is not None:
            taken.append((module.weight, module.output))
            module.output = None
    return taken
