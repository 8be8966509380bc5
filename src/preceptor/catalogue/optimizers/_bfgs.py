"""The Broyden–Fletcher–Goldfarb–Shanno method with the whole inverse matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue.optimizers._flat import Flat, weak_wolfe
from preceptor.catalogue.optimizers._make import Params

__all__ = ["BFGS"]


class BFGS(Flat):
    """Quasi-Newton steps θ ← θ − t B g; B ≈ H⁻¹ learns from how the gradient changes.

    B ← (I − ρ s yᵀ) B (I − ρ y sᵀ) + ρ s sᵀ, s the step, y the change of the gradient, ρ = 1/(yᵀs), so that
    B y = s. It holds P² numbers, and a step costs P².

    Arguments:
        params: P numbers in one group.
        lr: the first step length that the line search tries.
        max_iter: iterations within one step.
        max_eval: evaluations of one line search.
        tolerance_grad: the largest element of the gradient at which it stops.
        memory_gb: what the matrix may take.

    Example:
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> optimizer = BFGS([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w**4).sum()
        ...     loss.backward()
        ...     return loss
        >>> round(optimizer.step(closure).item())
        626
        >>> bool(w.abs().max() < 0.1)
        True

    Source: Nocedal and Wright, Numerical Optimization (2006), chapter 6.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int = 25,
        tolerance_grad: float = 1e-7,
        memory_gb: float = 2.0,
    ) -> None:
        super().__init__(
            params, 2, lr=lr, max_iter=max_iter, max_eval=max_eval, tolerance_grad=tolerance_grad,
            memory_gb=memory_gb,
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # never without a closure
        """Make up to ``max_iter`` iterations; return the loss before them.

        Arguments:
            closure: clears the gradients, computes the loss and its gradients, returns the loss.
        """
        evaluate = torch.enable_grad()(closure)
        options, kept = self.options, self.kept
        first = evaluate()
        value, gradient = float(first), self.gradient()
        for _ in range(options["max_iter"]):
            if not gradient.abs().max() > options["tolerance_grad"]:
                break
            inverse: Tensor | None = kept.get("inverse")
            direction = -gradient if inverse is None else -(inverse @ gradient)
            slope = float(gradient @ direction)
            start = options["lr"] * (
                1.0 if inverse is not None else min(1.0, 1 / float(gradient.abs().sum()))
            )
            here = self.point()

            def probe(t: float, here: Tensor = here, direction: Tensor = direction) -> tuple[float, Tensor]:
                self.place(here + t * direction)
                return float(evaluate()), self.gradient()

            found = None
            if slope < 0:
                found = weak_wolfe(probe, value, direction, slope, start, options["max_eval"])
            if found is None:
                self.place(here)
                self.leave_gradient(gradient)
                if kept.pop("inverse", None) is None:
                    break  # not even straight downhill: as low as rounding lets it come
                continue
            t, value, after = found
            self.place(here + t * direction)
            self._learn(t * direction, after - gradient)
            gradient = after
        return first

    def _learn(self, s: Tensor, y: Tensor) -> None:
        curvature = float(y @ s)
        if not curvature > 1e-10 * float(y.norm() * s.norm()):
            return
        inverse: Tensor | None = self.kept.get("inverse")
        if inverse is None:  # of the scale of the curvature just met
            inverse = torch.eye(self.size, dtype=s.dtype, device=s.device).mul_(curvature / float(y @ y))
            self.kept["inverse"] = inverse
        By, rho = inverse @ y, 1 / curvature
        inverse.addr_(s, s, alpha=rho * (1 + rho * float(y @ By)))
        inverse.addr_(s, By, alpha=-rho).addr_(By, s, alpha=-rho)
