"""The loss over a group of batches, as an optimizer asks for it: its gradient, its graph, its residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue.jacobian import jacobian
from preceptor.data.batches import Batch
from preceptor.training.problem import Problem

__all__ = ["Objective"]


class Objective:
    """What a step of an optimizer is given to call; called itself, it is the closure that torch knows.

    Attributes:
        gradient: leaves the gradient of the mean loss in the parameters and returns that loss.
        graph: returns the mean loss, ready to be differentiated twice.
        residuals: returns r of the mean squared error, (R,), scaled so that ‖r‖² is that loss.
        jacobian: returns r and its Jacobian by the given parameters, (R, P).
    """

    # Abilities are kept on the instance: whoever wraps a closure copies those, as functools.wraps does.
    def __init__(self, problem: Problem, group: Sequence[Batch], gradient: Callable[[], Tensor]) -> None:
        self.gradient = gradient

        def graph() -> Tensor:
            examples = sum(problem.task.counted(y) for _, y in group)
            losses = [problem.loss(x, y) * (problem.task.counted(y) / examples) for x, y in group]
            return reduce(torch.add, losses)

        def residuals() -> Tensor:
            return _joined([_differences(problem, problem.forward(x), y) for x, y in group])

        def jacobian_of(parameters: Sequence[Tensor], allow: Callable[[int], None]) -> tuple[Tensor, Tensor]:
            allow(sum(y.numel() for _, y in group))
            r, J = [], []
            for x, y in group:
                outputs, derivatives = jacobian(problem.model, x, parameters)
                r.append(_differences(problem, outputs, y))
                J.append(derivatives)
            joined = _joined(r)
            return joined, (J[0] if len(J) == 1 else torch.cat(J)) / len(joined) ** 0.5

        self.graph, self.residuals, self.jacobian = graph, residuals, jacobian_of

    def __call__(self) -> Tensor:
        """Leave the gradient in the parameters; return the mean loss."""
        return self.gradient()


def _differences(problem: Problem, output: Tensor, y: Tensor) -> Tensor:
    aligned: tuple[Any, Any] = problem.task.align(output, y)
    r: Tensor = (aligned[0] - aligned[1]).reshape(-1)
    return r


def _joined(parts: list[Tensor]) -> Tensor:
    r = parts[0] if len(parts) == 1 else torch.cat(parts)
    scaled: Tensor = r / len(r) ** 0.5
    return scaled
