"""The moments of a training step at which a regularizer may act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from preceptor.catalogue._places import weights_of

__all__ = ["MOMENTS", "Regularizer"]

_R = TypeVar("_R", bound="Regularizer")

MOMENTS = (
    "examples",
    "perturb",
    "penalty",
    "objective",
    "restore",
    "gradients",
    "before_step",
    "after_step",
)
"""The moments in the order in which a step comes by them."""


class Regularizer:
    """Override the moments that you need; only those are called, and in training alone.

    `attach` comes once, before the optimizer is made. A step then calls `examples`, `perturb`, the forward
    pass, `penalty` and `objective`, the backward pass, `restore`, `gradients`, `before_step`, the optimizer,
    and `after_step`. Randomness comes from torch's global generator, so that a training goes on exactly.

    Example:
        >>> import torch
        >>> class Shrink(Regularizer):
        ...     def after_step(self, lr):
        ...         for weight in self.weights:
        ...             weight.data.mul_(0.5)
        >>> layer = nn.Linear(1, 1)
        >>> before = layer.weight.item()
        >>> Shrink().attach(layer).after_step(0.1)
        >>> layer.weight.item() == before / 2
        True
    """

    every = False  # whether biases and the like are among `weights`

    def attach(self: _R, model: nn.Module) -> _R:
        """Take hold of the model's weights, or change the model; return the regularizer itself."""
        self.weights: list[nn.Parameter] = weights_of(model, every=self.every)
        return self

    def plan(self, total_steps: int) -> None:
        """Take in how many steps the training takes at most; comes once, behind `attach`."""

    def examples(self, x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Return inputs and targets as they are to be learned from."""
        return x, y

    def perturb(self) -> None:
        """Change the weights for the passes forward and backward; `restore` puts them back."""

    def penalty(self) -> Tensor:
        """Return what is added to the loss."""
        raise NotImplementedError

    def objective(self, loss: Tensor, output: Tensor, y: Tensor) -> Tensor:
        """Return what is minimised in place of the loss."""
        return loss

    def restore(self) -> None:
        """Put back what `perturb` changed."""

    def gradients(self) -> None:
        """Change the gradients."""

    def before_step(self, lr: float) -> None:
        """Act on the weights before the optimizer does, at its learning rate."""

    def after_step(self, lr: float) -> None:
        """Act on the weights after the optimizer did."""

    def settings(self) -> Mapping[str, Any]:
        """Return the training settings, by dotted key, that stand for this regularizer."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a training needs to go on exactly."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
