"""The losses of all members on their outputs, and what each output contributes to its member's mean loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from preceptor.tasks import Classification, Regression
from preceptor.training.problem import Predictor

__all__ = ["Head", "head_for"]


class Head(ABC):
    """The mean loss of each member over its own batch."""

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses (M,) of outputs (M, B, …) and targets (M, B, …)."""

    def gradient(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses (M,), and ∂ loss_m / ∂ outputs_m, of the outputs' shape."""
        leaf = outputs.detach().requires_grad_()
        with torch.enable_grad():
            losses = self.losses(leaf, y)
            (by_outputs,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), by_outputs

    def keep(self, rows: Tensor) -> None:  # noqa: B027 - most have nothing of their own
        """Go on with some of the members."""


class Softmax(Head):
    """Cross-entropy of logits z against q = (1 − ε) · onehot + ε/K: ∂ loss / ∂ z = (softmax z − q) / B.

    Arguments:
        smoothing: ε of each member.
        device: of the logits.
    """

    def __init__(self, smoothing: Sequence[float], device: torch.device) -> None:
        self.epsilon = torch.tensor(smoothing, device=device)[:, None]
        self.smooth = any(smoothing)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses."""
        return self._of(outputs.mT.log_softmax(1), y)

    def _of(self, log_p: Tensor, y: Tensor) -> Tensor:
        loss = -log_p.gather(1, y.unsqueeze(1)).squeeze(1)
        if self.smooth:
            loss = loss + self.epsilon * (-log_p.mean(1) - loss)
        return loss.mean(1)

    def gradient(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses, and their gradient in closed form."""
        # Over K classes along the last axis, log_softmax takes fifteen times as long as along any other.
        log_p = outputs.mT.log_softmax(1)
        losses = self._of(log_p, y)
        difference = log_p.exp_()
        own = torch.full((len(y), 1, 1), -1.0, device=y.device, dtype=difference.dtype)
        if self.smooth:
            epsilon = self.epsilon.unsqueeze(2)
            difference -= epsilon / difference.shape[1]
            own += epsilon
        difference.scatter_add_(1, y.unsqueeze(1), own.expand(-1, 1, y.shape[1]))
        return losses, difference.mul_(1.0 / y.shape[1]).mT

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the members."""
        self.epsilon = self.epsilon[rows]


class Squares(Head):
    """The mean of (ŷ − y)² over a member's batch and the numbers of a target."""

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses."""
        return (outputs - y.reshape(outputs.shape)).flatten(1).square().mean(1)

    def gradient(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses, and their gradient in closed form."""
        error = outputs - y.reshape(outputs.shape)
        return error.flatten(1).square().mean(1), error.mul(2 / error[0].numel())


class Mapped(Head):
    """Any other loss, by torch.func.vmap over the members."""

    def __init__(self, judge: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._losses = torch.func.vmap(judge)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the losses."""
        losses: Tensor = self._losses(outputs, y)
        return losses


def head_for(predictor: Predictor, criteria: Sequence[nn.Module]) -> Head:
    """Return what computes the losses of members whose criteria differ in their label smoothing alone."""
    first, task = criteria[0], predictor.task
    if type(first) is nn.CrossEntropyLoss and isinstance(task, Classification) and not task.binary:
        plain = first.weight is None and first.reduction == "mean"
        if plain:
            return Softmax([float(c.label_smoothing) for c in criteria], predictor.device)  # type: ignore[arg-type]  # of cross-entropies
    if type(first) is nn.MSELoss and first.reduction == "mean" and isinstance(task, Regression):
        return Squares()
    return Mapped(predictor.judge)
