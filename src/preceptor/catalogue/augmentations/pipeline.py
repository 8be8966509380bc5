"""What every augmentation is: random in training, fixed in evaluation, by the one switch of all modules."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue.averaging.models import average_outputs
from preceptor.errors import ModelError

__all__ = ["Augmentation", "Pipeline", "images"]


class Augmentation(nn.Module):
    """Changes a batch: at random in training (`vary`), always alike in evaluation (`fixed`).

    Randomness comes from torch's global generator. What an augmentation must know of the training examples
    is given to `fit` before training.

    Attributes:
        views: how many versions of each example `fixed` returns, one version of all examples after the other.

    Example:
        >>> class Shift(Augmentation):
        ...     def vary(self, x):
        ...         return x + torch.rand(len(x), 1)
        >>> Shift().eval()(torch.zeros(2, 1)).tolist()
        [[0.0], [0.0]]
    """

    views = 1
    of = "outputs"

    def fit(self, x: Tensor) -> None:
        """Look at the training examples."""

    @abstractmethod
    def vary(self, x: Tensor) -> Tensor:
        """Return a random version of the batch."""

    def fixed(self, x: Tensor) -> Tensor:
        """Return the batch as evaluation sees it."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Vary in training, be fixed in evaluation."""
        return self.vary(x) if self.training else self.fixed(x)


class Pipeline(nn.Sequential):
    """Augmentations in their order, and the averaging of the views that they make in evaluation.

    Example:
        >>> Pipeline(nn.Identity()).outputs(nn.Flatten(), torch.zeros(2, 1, 2)).shape
        torch.Size([2, 2])
    """

    @property
    def views(self) -> int:
        """How many versions of each example evaluation sees."""
        count = 1
        for step in self:
            count *= getattr(step, "views", 1)
        return count

    def fit(self, x: Tensor) -> None:
        """Let each step look at the training examples, as the steps before it leave them in evaluation."""
        self.eval()
        for step in self:
            if isinstance(step, Augmentation):
                step.fit(x)
            x = step.forward(x)[: len(x)]

    def forward(self, x: Any) -> Any:
        """Apply each step."""
        for step in self:
            x = step.forward(x)  # not called as modules are: whoever watches a training looks for the model
        return x

    def outputs(self, model: nn.Module, x: Any) -> Any:
        """Return a model's outputs, in the model's own mode; in evaluation averaged over the views."""
        if self.training != model.training:
            self.train(model.training)
        output = model(self.forward(x))
        views = 1 if self.training else self.views
        if views == 1:
            return output
        apart = output.reshape(views, -1, *output.shape[1:])
        of = next(step.of for step in self if getattr(step, "views", 1) > 1)
        return average_outputs(
            apart, torch.full((views,), 1 / views, dtype=output.dtype, device=output.device), str(of)
        )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one example behind the pipeline."""
        with torch.no_grad():
            return tuple(self.eval().forward(torch.zeros(1, *shape)).shape[1:])


def images(owner: str, x: Any) -> Tensor:
    """Return ``x`` if it is a batch of images.

    Raises:
        ModelError: it is something else.

    Example:
        >>> images("flip", torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """
    if isinstance(x, Tensor) and x.ndim == 4 and x.is_floating_point():
        return x
    shown = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
    raise ModelError(
        f"{owner} is for images", expected="a batch (N, C, H, W) of floating-point numbers", received=shown
    )
