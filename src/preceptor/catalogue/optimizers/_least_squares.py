"""Gauss–Newton, Levenberg and Levenberg–Marquardt: one method, told apart by its damping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_choice
from preceptor.catalogue.optimizers._flat import Flat, backtrack
from preceptor.catalogue.optimizers._make import Params
from preceptor.errors import ConfigError, ModelError

__all__ = ["LeastSquares"]

_TITLES = {"nothing": "Gauss-Newton", "identity": "Levenberg", "diagonal": "Levenberg-Marquardt"}
_LEAST, _MOST = 1e-15, 1e15  # between which the damping stays
_FLOOR = 1e-12  # of the largest diagonal element: a parameter without effect is damped all the same


class LeastSquares(Flat):
    """Minimise f = ‖r‖² by the Jacobian J of the residuals r; ∇f = 2 Jᵀr and H ≈ 2 JᵀJ.

    Solves (JᵀJ + λ D) Δ = −Jᵀr = −½ ∇f; the factors 2 cancel. ``damped`` says what D is: ``"nothing"`` is
    Gauss–Newton (λ = 0; the shortest Δ where JᵀJ is singular, halved until f falls), ``"identity"``
    Levenberg (D = I), ``"diagonal"`` Levenberg–Marquardt (D = diag JᵀJ). A damped step is made only where f
    falls, and then λ is divided by 10; else it is multiplied by 10 and the step is tried again.

    Arguments:
        params: P numbers in one group.
        lr: the length of a full step.
        damped: by ``"nothing"``, ``"identity"`` or ``"diagonal"``.
        damping: the first λ.
        max_iter: accepted steps within one step of the optimizer.
        max_eval: trials of one iteration.
        tolerance_grad: the largest element of ∇f at which it stops.
        memory_gb: what the matrices may take.

    Example:
        >>> x, y = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 5.0])
        >>> w = torch.zeros(2, requires_grad=True)
        >>> optimizer = LeastSquares([w], damped="nothing", max_iter=1)
        >>> float(optimizer.step(lambda: w[0] + w[1] * x - y))  # the sum of squares before the step
        35.0
        >>> w
        tensor([1.0000, 2.0000], requires_grad=True)

    Source: Levenberg, A Method for the Solution of Certain Problems in Least Squares (1944); Marquardt, An
    Algorithm for Least-Squares Estimation of Nonlinear Parameters (1963).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        damped: str = "diagonal",
        damping: float = 1e-2,
        max_iter: int = 10,
        max_eval: int = 20,
        tolerance_grad: float = 1e-9,
        memory_gb: float = 2.0,
    ) -> None:
        check_choice("LeastSquares", "damped", damped, tuple(_TITLES))
        super().__init__(
            params, 3, lr=lr, damped=damped, damping=damping, max_iter=max_iter, max_eval=max_eval,
            tolerance_grad=tolerance_grad, memory_gb=memory_gb,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """What messages call the method."""
        return _TITLES[str(self.options["damped"])]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # never without a closure
        """Make up to ``max_iter`` iterations; return f before them.

        Arguments:
            closure: returns the residuals, a vector (R,) ready to be differentiated; or returns the loss, and
                has ``residuals()`` and ``jacobian(parameters)``, which returns r (R,) and J (R, P).

        Raises:
            ConfigError: the closure gives a loss alone, or J would not fit into memory.
            ModelError: residuals and loss do not belong together.
        """
        with torch.enable_grad():
            first = closure()
        whole = hasattr(closure, "jacobian")
        if not whole and (not isinstance(first, Tensor) or first.ndim != 1):
            raise ConfigError(
                f"{self.title} needs residuals, a loss alone does not tell them",
                expected="a closure that returns the vector of residuals, ready to be differentiated",
                received=f"shape {tuple(getattr(first, 'shape', ()))}",
                hint="return (model(x) - y).reshape(-1); for other losses than squares: bfgs, newton",
            )
        residuals = closure.residuals if whole else torch.enable_grad()(closure)  # type: ignore[attr-defined]  # asked for just before
        loss = first if whole else first.detach() @ first.detach()
        for iteration in range(self.options["max_iter"]):
            r, J = self._linearised(closure, residuals, whole)
            half = J.T @ r
            if whole and iteration == 0:
                self._compare(half)
            self.leave_gradient(2 * half)
            if not 2 * half.abs().max() > self.options["tolerance_grad"]:
                break
            advance = self._undamped if self.options["damped"] == "nothing" else self._damped
            if not advance(r, J, half, residuals):
                break
        return loss

    def _linearised(
        self, closure: Any, residuals: Callable[[], Tensor], whole: bool
    ) -> tuple[Tensor, Tensor]:
        if whole:
            r, J = closure.jacobian(self.parameters, self._require)
            return r, J
        r = residuals()
        self._require(len(r))
        rows = torch.eye(len(r), dtype=r.dtype, device=r.device)
        columns = torch.autograd.grad(r, self.parameters, rows, allow_unused=True, is_grads_batched=True)
        blocks = [
            torch.zeros(len(r), p.numel(), dtype=r.dtype, device=r.device)
            if c is None
            else c.reshape(len(r), -1)
            for c, p in zip(columns, self.parameters, strict=True)
        ]
        return r.detach(), torch.cat(blocks, 1)

    def _require(self, rows: int) -> None:
        what = f"a Jacobian of {rows:,} × {self.size:,} and its square"
        self.require_memory(rows * self.size + 3 * self.size**2, what)

    def _compare(self, half: Tensor) -> None:
        """Check 2 Jᵀr against the gradient of the loss: layers may mix examples, or parameters be shared."""
        gradient = self.gradient()
        if (2 * half - gradient).norm() > 1e-2 * gradient.norm() + 1e-6:
            raise ModelError(
                "the residuals' Jacobian does not agree with the gradient of the loss",
                expected="a model in which each example's output depends on that example alone",
                received=f"gradients that differ by {float((2 * half - gradient).norm()):.3g}",
                hint="layer or group normalisation in place of batch normalisation; or bfgs, newton",
            )

    def _undamped(self, r: Tensor, J: Tensor, half: Tensor, residuals: Callable[[], Tensor]) -> bool:
        driver = "gelsd" if r.device.type == "cpu" else "gels"  # only LAPACK has the shortest solution
        direction = -torch.linalg.lstsq(J, r[:, None], driver=driver).solution[:, 0]
        here, value = self.point(), float(r @ r)

        def probe(t: float) -> float:
            self.place(here + t * direction)
            return _squares(residuals())

        slope = 2 * float(half @ direction)
        found = backtrack(probe, value, slope, self.options["lr"], self.options["max_eval"])
        if found is None or not found[1] < value:
            self.place(here)
            return False
        return True

    def _damped(self, r: Tensor, J: Tensor, half: Tensor, residuals: Callable[[], Tensor]) -> bool:
        kept, options = self.kept, self.options
        kept.setdefault("lambda", options["damping"])
        kept.setdefault("accepted", 0)
        kept.setdefault("rejected", 0)
        square, right = (J.T @ J).double(), half.double()[:, None]
        diagonal = square.diagonal().clone()
        scale = torch.ones_like(diagonal)
        if options["damped"] == "diagonal":
            scale = diagonal.clamp_min(_FLOOR * float(diagonal.max()))
        here, value = self.point(), _squares(r)
        for _ in range(options["max_eval"]):
            square.diagonal().copy_(diagonal + kept["lambda"] * scale)
            factor, failed = torch.linalg.cholesky_ex(square)
            if not failed:
                change = torch.cholesky_solve(right, factor)[:, 0]
                self.place(here - (options["lr"] * change).to(here.dtype))
                if _squares(residuals()) < value:
                    kept["accepted"] += 1
                    kept["lambda"] = max(kept["lambda"] / 10, _LEAST)
                    return True
            kept["rejected"] += 1
            kept["lambda"] = min(kept["lambda"] * 10, _MOST)
        self.place(here)
        return False


def _squares(r: Tensor) -> float:
    return float(r.detach() @ r.detach())
