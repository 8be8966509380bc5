"""Entries of second order: methods that follow the curvature, on the whole training set at once."""

from __future__ import annotations

from typing import Any

import torch

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.optimizers._bfgs import BFGS
from preceptor.catalogue.optimizers._least_squares import LeastSquares
from preceptor.catalogue.optimizers._make import KIND, SHAPES, Params, make
from preceptor.catalogue.optimizers._newton import Newton

__all__ = ["bfgs", "gauss_newton", "lbfgs", "levenberg", "levenberg_marquardt", "newton"]

_NOCEDAL = "Nocedal and Wright, Numerical Optimization, 2006"
_WHOLE = {"batch": "full", "second_order": True}
_RESIDUALS = (
    "parameters of any shape, P in all, updated in place; the closure returns the residuals, (R,); J is "
    "(R, P)"
)
_FIT = """
        >>> t = torch.linspace(0, 4, 20)
        >>> y = 2 * torch.exp(-1.5 * t)
        >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> optimizer = get({!r})([w])
        >>> for _ in range(5):
        ...     _ = optimizer.step(lambda: w[0] * torch.exp(-w[1] * t) - y)
        >>> [round(value, 3) for value in w.tolist()]
        [2.0, 1.5]
        """


@registered(
    kind=KIND,
    name="newton",
    aliases=("newton-raphson", "newtons-method"),
    formula="θ ← θ − t · H⁻¹ ∇f(θ), H = ∇²f(θ), t by halving from lr; where H has an eigenvalue that is not "
    "positive, H = QΛQᵀ becomes Q|Λ|Qᵀ (indefinite 'damp') or an error ('refuse')",
    shapes="parameters of any shape, P in all, updated in place; the closure returns the loss and leaves "
    "backward to newton; H is (P, P)",
    when="up to some thousand parameters and high precision: no rate to choose, a quadratic in one step",
    pitfalls="memory P², time P³; without its safeguard it walks into saddles and maxima; the whole training "
    "set in one batch, and no dropout",
    source=_NOCEDAL
    + ", section 3.4; Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014",
    differs="torch has none; SciPy's Newton-CG and trust-exact take a function of one vector",
    example="""
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> optimizer = get('newton')([w])
        >>> _ = optimizer.step(lambda: (w[0] ** 2 + 9 * w[1] ** 2))
        >>> bool(w.abs().max() < 1e-6)
        True
        """,
    traits={"closure": "loss", **_WHOLE},
)
def newton(
    params: Params,
    lr: float = 1.0,
    indefinite: str = "damp",
    max_iter: int = 1,
    max_eval: int = 30,
    tolerance_grad: float = 1e-7,
    memory_gb: float = 2.0,
) -> Newton:
    """Newton's method: the exact Hessian, safe where that is indefinite."""
    check_choice("newton", "indefinite", indefinite, ("damp", "refuse"))
    check_count("newton", "max_eval", max_eval)
    return make(
        Newton, params, lr=lr, indefinite=indefinite, max_iter=max_iter, max_eval=max_eval,
        tolerance_grad=tolerance_grad, memory_gb=memory_gb,
    )  # fmt: skip


@registered(
    kind=KIND,
    name="bfgs",
    aliases=("broyden-fletcher-goldfarb-shanno", "quasi-newton"),
    formula="θ ← θ − t · B ∇f(θ), t by a weak Wolfe search from lr; B ← (I − ρ s yᵀ) B (I − ρ y sᵀ) + ρ s "
    "sᵀ, s = Δθ, y = Δ∇f, ρ = 1/(yᵀs), so that B y = s: B stands for H⁻¹ without a Hessian",
    shapes="parameters of any shape, P in all, updated in place; the closure leaves gradients in .grad; B is "
    "(P, P)",
    when="up to some thousand parameters and high precision, where second derivatives are not to be had",
    pitfalls="memory and time P²: beyond that l-bfgs; the whole training set in one batch, and no dropout",
    source=_NOCEDAL + ", chapter 6; Lewis and Overton, Nonsmooth Optimization via Quasi-Newton Methods, 2013",
    differs="torch has l-bfgs alone; SciPy's BFGS takes a function of one vector and another line search",
    example="""
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> optimizer = get('bfgs')([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = w[0] ** 2 + 9 * w[1] ** 2
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> bool(w.abs().max() < 1e-6)
        True
        """,
    traits={"closure": "gradient", **_WHOLE},
)
def bfgs(
    params: Params,
    lr: float = 1.0,
    max_iter: int = 20,
    max_eval: int = 25,
    tolerance_grad: float = 1e-7,
    memory_gb: float = 2.0,
) -> BFGS:
    """Quasi-Newton method that learns the whole inverse Hessian from gradients."""
    check_count("bfgs", "max_eval", max_eval)
    return make(
        BFGS, params, lr=lr, max_iter=max_iter, max_eval=max_eval, tolerance_grad=tolerance_grad,
        memory_gb=memory_gb,
    )  # fmt: skip


@registered(
    kind=KIND,
    name="l-bfgs",
    aliases=("lbfgs", "limited-memory-bfgs"),
    formula="θ ← θ − t · H g, H the inverse curvature implied by the last history_size steps, t by line "
    "search from lr",
    shapes=SHAPES,
    when="small data, smooth losses and high precision: linear models, physics",
    pitfalls="needs the loss of the whole training set, several times a step; on mini-batches it breaks "
    "down, and is refused",
    source="Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989",
    differs="line_search_fn is 'strong_wolfe', history_size 10 and tolerance_change 0; torch has None, 100 "
    "and 1e-9, at which float32 stops short of the minimum",
    example="""
        >>> w = torch.tensor([1.0, 5.0], requires_grad=True)
        >>> optimizer = get('l-bfgs')([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w).sum()
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)
        >>> bool(w.abs().max() < 1e-6)
        True
        """,
    traits={"torch": "LBFGS", "closure": "gradient", **_WHOLE},
)
def lbfgs(
    params: Params,
    lr: float = 1.0,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: float = 1e-7,
    tolerance_change: float = 0.0,
    history_size: int = 10,
    line_search_fn: str | None = "strong_wolfe",
) -> torch.optim.LBFGS:
    """Quasi-Newton method of limited memory, with a line search."""
    if line_search_fn is not None:
        check_choice("l-bfgs", "line_search_fn", line_search_fn, ("strong_wolfe",))
    for option, count in (("max_iter", max_iter), ("max_eval", max_eval), ("history_size", history_size)):
        if option != "max_eval" or count is not None:
            check_count("l-bfgs", option, count)
    return make(
        torch.optim.LBFGS,
        params,
        lr=lr,
        max_iter=max_iter,
        max_eval=max_eval,
        tolerance_grad=tolerance_grad,
        tolerance_change=tolerance_change,
        history_size=history_size,
        line_search_fn=line_search_fn,
    )


@registered(
    kind=KIND,
    name="gauss-newton",
    aliases=("gn",),
    formula="f = ‖r‖², J = ∂r/∂θ; H ≈ 2 JᵀJ, ∇f = 2 Jᵀr; θ ← θ − t · (JᵀJ)⁻¹ Jᵀr, t by halving from lr; the "
    "shortest step where JᵀJ is singular",
    shapes=_RESIDUALS,
    when="least squares with small residuals, near the solution: a linear model in one step",
    pitfalls="far from the solution, or with more parameters than residuals, the steps are wild: "
    "levenberg-marquardt; squared error alone",
    source=_NOCEDAL + ", section 10.3",
    differs="torch has none; SciPy's least_squares with method 'trf' adds a trust region",
    example=_FIT.format("gauss-newton"),
    traits={"closure": "residuals", **_WHOLE},
)
def gauss_newton(
    params: Params,
    lr: float = 1.0,
    max_iter: int = 10,
    max_eval: int = 20,
    tolerance_grad: float = 1e-9,
    memory_gb: float = 2.0,
) -> LeastSquares:
    """Gauss-Newton method: least squares, with the residuals taken as linear."""
    check_count("gauss-newton", "max_eval", max_eval)
    return make(
        LeastSquares, params, damped="nothing", lr=lr, max_iter=max_iter, max_eval=max_eval,
        tolerance_grad=tolerance_grad, memory_gb=memory_gb,
    )  # fmt: skip


def _damped(
    params: Params, owner: str, kind: str, damping: float, max_eval: int, **options: Any
) -> LeastSquares:
    check_number(owner, "damping", damping, 1e-15, 1e15)
    check_count(owner, "max_eval", max_eval)
    return make(LeastSquares, params, damped=kind, damping=float(damping), max_eval=max_eval, **options)


@registered(
    kind=KIND,
    name="levenberg",
    aliases=("damped-gauss-newton", "damped-least-squares"),
    formula="(JᵀJ + λ I) Δ = −Jᵀr = −½ ∇f; θ ← θ + Δ and λ ← λ/10 if f = ‖r‖² falls, else λ ← 10 λ and "
    "again; λ from damping",
    shapes=_RESIDUALS,
    when="as levenberg-marquardt, where all parameters have one scale",
    pitfalls="with ∇f in place of ½ ∇f on the right, λ → 0 mirrors the parameters at the minimum for ever; "
    "depends on the parameters' scale",
    source="Levenberg, A Method for the Solution of Certain Non-linear Problems in Least Squares, 1944",
    differs="torch and SciPy have none",
    example=_FIT.format("levenberg"),
    traits={"closure": "residuals", **_WHOLE},
)
def levenberg(
    params: Params,
    lr: float = 1.0,
    damping: float = 1e-2,
    max_iter: int = 10,
    max_eval: int = 20,
    tolerance_grad: float = 1e-9,
    memory_gb: float = 2.0,
) -> LeastSquares:
    """Levenberg's method: Gauss-Newton, damped by a multiple of the identity."""
    return _damped(
        params, "levenberg", "identity", damping, max_eval, lr=lr, max_iter=max_iter,
        tolerance_grad=tolerance_grad, memory_gb=memory_gb,
    )  # fmt: skip


@registered(
    kind=KIND,
    name="levenberg-marquardt",
    aliases=("lm", "marquardt"),
    formula="(JᵀJ + λ diag JᵀJ) Δ = −Jᵀr = −½ ∇f; θ ← θ + Δ and λ ← λ/10 if f = ‖r‖² falls, else λ ← 10 λ "
    "and again; λ from damping; zeros on the diagonal are lifted to 10⁻¹² of its largest element",
    shapes=_RESIDUALS,
    when="regression by a small network (up to some thousand parameters), to high precision",
    pitfalls="squared error alone; time P³ + R·P², memory R·P; the whole training set in one batch, and no "
    "dropout",
    source="Marquardt, An Algorithm for Least-Squares Estimation of Nonlinear Parameters, 1963; Hagan and "
    "Menhaj, Training Feedforward Networks with the Marquardt Algorithm, 1994",
    differs="torch has none; SciPy's least_squares with method 'lm' is MINPACK's, with a trust region and QR",
    example=_FIT.format("levenberg-marquardt"),
    traits={"closure": "residuals", **_WHOLE},
)
def levenberg_marquardt(
    params: Params,
    lr: float = 1.0,
    damping: float = 1e-2,
    max_iter: int = 10,
    max_eval: int = 20,
    tolerance_grad: float = 1e-9,
    memory_gb: float = 2.0,
) -> LeastSquares:
    """Levenberg-Marquardt method: Gauss-Newton, damped for each parameter by its own curvature."""
    return _damped(
        params, "levenberg-marquardt", "diagonal", damping, max_eval, lr=lr, max_iter=max_iter,
        tolerance_grad=tolerance_grad, memory_gb=memory_gb,
    )  # fmt: skip
