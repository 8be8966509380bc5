"""The weights of all members: for each parameter of the architecture one tensor, a row a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Stack"]


class Stack:
    """M models of one architecture.

    Arguments:
        models: alike but for the values of their parameters and buffers.

    Attributes:
        weights: every parameter by name, (M, …), contiguous, as batched matrix products want their results.
        grads: of the same shapes.
        rows: the weights, each parameter as (M, n), for what treats all numbers of a member alike.
        slopes: the gradients likewise.
        buffers: by name, (M, …).

    Example:
        >>> stack = Stack([nn.Linear(2, 3), nn.Linear(2, 3)])
        >>> {name: tuple(weight.shape) for name, weight in stack.weights.items()}
        {'weight': (2, 3, 2), 'bias': (2, 3)}
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        parameters = [dict(model.named_parameters()) for model in models]
        buffers = [dict(model.named_buffers()) for model in models]
        with torch.no_grad():
            weights = {name: torch.stack([p[name] for p in parameters]) for name in parameters[0]}
            self.buffers = {name: torch.stack([b[name] for b in buffers]) for name in buffers[0]}
        self._hold(weights)

    def _hold(self, weights: Mapping[str, Tensor]) -> None:
        # A convolution's weights may come in another layout than their shape says.
        self.weights = {name: weight.contiguous() for name, weight in weights.items()}
        self.grads = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        self.rows = [weight.view(len(weight), -1) for weight in self.weights.values()]
        self.slopes = [grad.view(len(grad), -1) for grad in self.grads.values()]

    def __len__(self) -> int:
        return len(self.rows[0])

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.rows[0].device

    @torch.no_grad()
    def write_to(self, model: nn.Module, row: int) -> None:
        """Copy one member's parameters and buffers into a model of its own."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name][row])
        for name, buffer in model.named_buffers():
            buffer.copy_(self.buffers[name][row])

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the members."""
        self._hold({name: weight[rows] for name, weight in self.weights.items()})
        self.buffers = {name: value[rows] for name, value in self.buffers.items()}

    def take(self, other: Stack, rows: Tensor) -> None:
        """Take over some members' values from another stack of as many."""
        for own, theirs in ((self.weights, other.weights), (self.buffers, other.buffers)):
            for name, value in own.items():
                value[rows] = theirs[name][rows]

    def copy(self) -> Stack:
        """Return another of the same values."""
        other = object.__new__(Stack)
        other._hold({name: weight.clone() for name, weight in self.weights.items()})
        other.buffers = {name: value.clone() for name, value in self.buffers.items()}
        return other
