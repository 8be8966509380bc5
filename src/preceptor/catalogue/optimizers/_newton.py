"""Newton's method with the exact Hessian, made safe where that is indefinite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue.optimizers._flat import Flat, backtrack
from preceptor.catalogue.optimizers._make import Params
from preceptor.errors import ConfigError

__all__ = ["Newton"]

_ROWS = 128  # of the Hessian in one batched backward pass


class Newton(Flat):
    """Newton steps θ ← θ − t H⁻¹ g at the current θ, t by halving from lr.

    Where H has an eigenvalue that is not positive, H⁻¹ g leads to a saddle or uphill. With
    ``indefinite="damp"`` the eigenvalues are replaced by their absolute values, at least 10⁻⁸ of the largest:
    steps lead away from saddles. With ``"refuse"`` that is an error. P² numbers, P³ operations a step.

    Arguments:
        params: P numbers in one group.
        lr: the first step length that is tried.
        indefinite: ``"damp"`` or ``"refuse"``.
        max_iter: iterations within one step.
        max_eval: step lengths that are tried at most.
        tolerance_grad: the largest element of the gradient at which it stops.
        memory_gb: what the matrices may take.

    Example:
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> loss = Newton([w], max_iter=1).step(lambda: (w * w * torch.tensor([1.0, 9.0])).sum())
        >>> bool(w.abs().max() < 1e-6)
        True

    Source: Nocedal and Wright, Numerical Optimization (2006), section 3.4; Dauphin, Pascanu, Gulcehre, Cho,
    Ganguli and Bengio, Identifying and Attacking the Saddle Point Problem (2014).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        indefinite: str = "damp",
        max_iter: int = 1,
        max_eval: int = 30,
        tolerance_grad: float = 1e-7,
        memory_gb: float = 2.0,
    ) -> None:
        super().__init__(
            params, 3, lr=lr, indefinite=indefinite, max_iter=max_iter, max_eval=max_eval,
            tolerance_grad=tolerance_grad, memory_gb=memory_gb,
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # never without a closure
        """Make up to ``max_iter`` iterations; return the loss before them.

        Arguments:
            closure: returns the loss, ready to be differentiated; where it calls backward itself, it has a
                ``graph`` that does not.

        Raises:
            ConfigError: the loss cannot be differentiated twice, or the Hessian is indefinite and refused.
        """
        options, graph = self.options, getattr(closure, "graph", None)
        with torch.enable_grad():
            first = closure()
        evaluate = torch.enable_grad()(graph or closure)
        loss = first if graph is None else evaluate()
        for iteration in range(options["max_iter"]):
            if iteration:
                loss = evaluate()
            gradient, hessian = self._derivatives(loss)
            self.leave_gradient(gradient)
            if not gradient.abs().max() > options["tolerance_grad"]:
                break
            direction = -self._solve(hessian, gradient.double())
            here, slope = self.point(), float(gradient.double() @ direction)

            def probe(t: float, here: Tensor = here, direction: Tensor = direction) -> float:
                self.place(here + (t * direction).to(here.dtype))
                return float(evaluate())

            found = backtrack(probe, float(loss), slope, options["lr"], options["max_eval"])
            if found is None:
                self.place(here)
                break
        return first.detach()

    def _derivatives(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.parameters
        try:
            with torch.enable_grad():
                slopes = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
                gradient = torch.cat([_or_zeros(g, p) for g, p in zip(slopes, parameters, strict=True)])
        except RuntimeError as error:
            raise ConfigError(
                "newton cannot differentiate the loss twice",
                expected="a closure that returns the loss and leaves backward to newton",
                received=str(error).partition(".")[0],
                hint="def closure(): return loss_of(model(x), y)",
            ) from error
        hessian = torch.zeros(self.size, self.size, dtype=gradient.dtype, device=gradient.device)
        if gradient.requires_grad:
            identity = torch.eye(self.size, dtype=gradient.dtype, device=gradient.device)
            for rows, block in zip(torch.split(identity, _ROWS), torch.split(hessian, _ROWS), strict=True):
                columns = torch.autograd.grad(
                    gradient, parameters, rows, retain_graph=True, allow_unused=True, is_grads_batched=True
                )
                at = 0
                for column, p in zip(columns, parameters, strict=True):
                    if column is not None:
                        block[:, at : at + p.numel()] = column.reshape(len(rows), -1)
                    at += p.numel()
        return gradient.detach(), hessian.double()

    def _solve(self, hessian: Tensor, gradient: Tensor) -> Tensor:
        """Return H⁻¹ g, or what takes its place where H is not positive definite."""
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if not failed:
            return torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        values, vectors = torch.linalg.eigh(hessian)
        if self.options["indefinite"] == "refuse":
            raise ConfigError(
                "the Hessian is not positive definite: Newton's step would lead to a saddle or uphill",
                expected="eigenvalues above zero",
                received=f"{int((values <= 0).sum())} of {len(values)} not, the least {float(values[0]):.3g}",
                hint="indefinite='damp', or a start nearer the minimum",
            )
        largest = float(values.abs().max())
        values = values.abs().clamp_min(1e-8 * largest) if largest else torch.ones_like(values)
        step: Tensor = vectors @ ((vectors.T @ gradient) / values)
        return step


def _or_zeros(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1)
