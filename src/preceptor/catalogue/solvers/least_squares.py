"""Least squares: the x that brings A x nearest to b, by closed forms and by gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.solvers._system import Solution, checked, relative_residual
from preceptor.errors import ConfigError, DataError

__all__ = ["landweber", "least_squares", "normal_equations", "qr", "ridge"]

_KIND = "solver"
_SHAPES = "A (m, n), b (m,) or (m, k) → x (n,) or (n, k)"
_LEGENDRE = "Legendre, Nouvelles méthodes pour la détermination des orbites des comètes, 1805"
_DATA = "A, b = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), torch.tensor([1.0, 3.0, 5.0])"


def _show(name: str, call: str, shown: str) -> str:
    return f"""
        >>> {_DATA}
        >>> get({name!r}, A, b, kind='solver'{call}).x.round(decimals=3)
        {shown}
        """


def _solved(A: Tensor, b: Tensor, x: Tensor, iterations: int = 0, penalty: float = 0.0) -> Solution:
    right = A.T @ b
    return Solution(x, iterations, relative_residual(A.T @ (b - A @ x) - penalty * x, right))


def _minimum_norm(A: Tensor, b: Tensor) -> Tensor:
    # On a GPU torch's own least squares assumes full rank; the singular values tell it everywhere.
    U, s, Vh = torch.linalg.svd(A, full_matrices=False)
    kept = s > max(A.shape) * torch.finfo(A.dtype).eps * s.max()
    inverse = torch.where(kept, 1 / torch.where(kept, s, 1.0), 0.0)
    columns = b[:, None] if b.ndim == 1 else b
    x: Tensor = Vh.mH @ (inverse[:, None] * (U.mH @ columns))
    return x.reshape(A.shape[1], *b.shape[1:])


@registered(
    kind=_KIND,
    name="least-squares",
    aliases=("lstsq", "pseudo-inverse", "svd", "minimum-norm"),
    formula="x = A⁺ b = V Σ⁺ Uᵀ b: among all minimisers of ‖A x − b‖² the one of least norm",
    shapes=_SHAPES,
    when="any A: more rows than columns, fewer, or columns that depend on each other",
    pitfalls="the dearest of the direct solvers; singular values below max(m, n) · eps · σ_max count as 0",
    source=_LEGENDRE + "; Penrose, A Generalized Inverse for Matrices, 1955",
    differs="torch.linalg.lstsq assumes full rank on a GPU; this gives the same everywhere",
    example=_show("least-squares", "", "tensor([1., 2.])"),
    traits={"system": "least-squares"},
)
def least_squares(A: Tensor, b: Tensor) -> Solution:
    """Least squares by the singular value decomposition: the solution of least norm."""
    A, b = checked("least-squares", A, b, square=False)
    return _solved(A, b, _minimum_norm(A, b))


@registered(
    kind=_KIND,
    name="qr",
    aliases=("qr-decomposition", "householder"),
    formula="A = Q R, Qᵀ Q = I, R upper triangular; R x = Qᵀ b; for square A the solution of A x = b",
    shapes=_SHAPES + ", m ≥ n",
    when="least squares whose columns are nearly dependent: the error grows with the condition number, that "
    "of the normal equations with its square",
    pitfalls="needs columns that are independent, and twice the work of the normal equations",
    source="Golub, Numerical Methods for Solving Linear Least Squares Problems, 1965",
    differs="torch.linalg.qr, with the triangular solve and a refusal where the columns depend on each other",
    example=_show("qr", "", "tensor([1., 2.])"),
    traits={"system": "least-squares"},
)
def qr(A: Tensor, b: Tensor) -> Solution:
    """QR decomposition: least squares by an orthogonal factor, without forming AᵀA."""
    A, b = checked("qr", A, b, square=False)
    if A.shape[0] < A.shape[1]:
        raise _dependent("qr", f"{A.shape[0]} rows and {A.shape[1]} columns")
    Q, R = torch.linalg.qr(A)
    pivots = R.diagonal().abs()
    if float(pivots.min()) <= max(A.shape) * torch.finfo(A.dtype).eps * float(pivots.max()):
        raise _dependent("qr", "columns that depend on each other")
    columns = Q.mT @ (b[:, None] if b.ndim == 1 else b)
    x = torch.linalg.solve_triangular(R, columns, upper=True)
    return _solved(A, b, x.reshape(A.shape[1], *b.shape[1:]))


def _dependent(owner: str, received: str) -> DataError:
    return DataError(
        f"{owner}: the solution is not unique",
        expected="an A with as many independent columns as it has columns",
        received=received,
        hint='"least-squares" gives the solution of least norm, "ridge-regression" a unique one',
    )


@registered(
    kind=_KIND,
    name="normal-equations",
    aliases=("normal-eq", "direct-solution", "ordinary-least-squares"),
    formula="x = (AᵀA)⁻¹ Aᵀ b, solved by the Cholesky factor of AᵀA; where AᵀA is singular, x = A⁺ b",
    shapes=_SHAPES,
    when="many more rows than columns, well conditioned: one pass over the rows forms AᵀA in m n² operations",
    pitfalls="the condition number of AᵀA is that of A squared: half the digits are lost; use qr then",
    source=_LEGENDRE + "; Gauss, Theoria combinationis observationum, 1823",
    example=_show("normal-equations", "", "tensor([1., 2.])"),
    traits={"system": "least-squares"},
)
def normal_equations(A: Tensor, b: Tensor) -> Solution:
    """Normal equations: least squares in closed form."""
    A, b = checked("normal-equations", A, b, square=False)
    return _normal(A, b, 0.0)


@registered(
    kind=_KIND,
    name="ridge-regression",
    aliases=("tikhonov-regularization", "ridge-solution"),
    formula="x = (AᵀA + λI)⁻¹ Aᵀ b, λ = weight_decay: the minimum of ½‖A x − b‖² + ½ λ ‖x‖²",
    shapes=_SHAPES,
    when="columns that are nearly dependent, or more columns than rows: unique, and smaller weights",
    pitfalls="every x is shrunk, a column of ones included: centre A and b first, or penalise without it",
    source="Tikhonov, 1943; Hoerl and Kennard, Ridge Regression, 1970",
    differs="scikit-learn's Ridge(alpha=λ) centres A and b itself. With a mean loss, (1/m) Σ …, the same "
    "solution has λ/m",
    example=_show("ridge-regression", ", weight_decay=1.0", "tensor([1.0000, 1.6670])"),
)
def ridge(A: Tensor, b: Tensor, weight_decay: float = 1.0) -> Solution:
    """Ridge regression (Tikhonov regularisation): least squares with a price on large weights."""
    check_number("ridge-regression", "weight_decay", weight_decay, 0.0)
    A, b = checked("ridge-regression", A, b, square=False)
    return _normal(A, b, weight_decay)


def _normal(A: Tensor, b: Tensor, penalty: float) -> Solution:
    gram = A.T @ A
    gram.diagonal().add_(penalty)
    factor, info = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal()
    # A pivot that is all rounding would pass for a number.
    floor = float(gram.diagonal().max()) * len(gram) * torch.finfo(A.dtype).eps
    if int(info) != 0 or float(pivots.min()) ** 2 <= floor:
        return _solved(A, b, _minimum_norm(A, b), penalty=penalty)
    right = A.T @ b
    columns = right[:, None] if b.ndim == 1 else right
    return _solved(A, b, torch.cholesky_solve(columns, factor).reshape(right.shape), penalty=penalty)


@registered(
    kind=_KIND,
    name="landweber",
    aliases=("gd-linreg", "gradient-descent-of-least-squares", "linear-regression-gradient-descent"),
    formula="x ← x − (α/m) Aᵀ(A x − b) from x = 0, α = lr; converges for 0 < α < 2m / λ_max(AᵀA); None: "
    "half of that",
    shapes=_SHAPES,
    when="to see gradient descent against the closed form: a step costs m n operations, the closed form n³",
    pitfalls="the error falls by 1 − λ_min/λ_max a step: standardise the columns; an lr at or beyond the "
    "limit is refused, as the iteration would diverge",
    source="Landweber, An Iteration Formula for Fredholm Integral Equations of the First Kind, 1951",
    example=_show("landweber", "", "tensor([1., 2.])"),
    traits={"system": "least-squares", "iterative": True},
)
def landweber(
    A: Tensor, b: Tensor, lr: float | None = None, tolerance: float = 1e-6, max_iter: int = 100_000
) -> Solution:
    """Gradient descent on the mean squared error of a linear model."""
    A, b = checked("landweber", A, b, square=False)
    check_count("landweber", "max_iter", max_iter)
    check_number("landweber", "tolerance", tolerance, 0.0)
    limit = 2 * len(A) / float(torch.linalg.matrix_norm(A, 2)) ** 2
    rate = limit / 2 if lr is None else check_number("landweber", "lr", lr, 0.0)
    if not 0 < rate < limit:
        raise ConfigError(
            "landweber would not converge",
            expected=f"0 < lr < 2m/λ_max(AᵀA) = {limit:.6g}",
            received=f"lr={lr!r}",
        )
    gram, right = A.T @ A / len(A), A.T @ b / len(A)
    x, size = torch.zeros_like(right), float(torch.linalg.vector_norm(right)) or 1.0
    for step in range(1, max_iter + 1):
        gradient = gram @ x - right
        x = x - rate * gradient
        if step % 16 == 0 and float(torch.linalg.vector_norm(gradient)) <= tolerance * size:
            return _solved(A, b, x, step)
    raise DataError(
        "landweber has not converged",
        expected=f"a gradient of {tolerance:g} times the first within {max_iter} steps",
        received=f"{float(torch.linalg.vector_norm(gradient)) / size:.3g} times",
        hint="standardise the columns, or use a closed form such as qr",
    )
