"""Iterative solvers of A x = b: stationary iterations and conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.solvers._system import Matrix, Solution, is_symmetric, relative_residual, square
from preceptor.errors import DataError

__all__ = ["conjugate_gradient", "gauss_seidel", "jacobi", "preconditioned_conjugate_gradient"]

_KIND = "solver"
_SHAPES = "A (n, n), b (n,) or (n, k) → x of b's shape"
_SAAD = "Saad, Iterative Methods for Sparse Linear Systems, 2003, chapter "
_SPECTRUM_MOST = 1_000  # unknowns up to which the spectral radius is computed beforehand
_SYSTEM = "A, b = torch.tensor([[4.0, 1.0], [1.0, 3.0]]), torch.tensor([6.0, 7.0])"


def _show(name: str) -> str:
    return f"""
        >>> {_SYSTEM}
        >>> get({name!r}, A, b, kind='solver').x.round(decimals=3)
        tensor([1., 2.])
        """


@registered(
    kind=_KIND,
    name="jacobi",
    aliases=("jacobi-iteration",),
    formula="x ← D⁻¹(b − (L + U) x), A = L + D + U; converges if and only if ρ(D⁻¹(L + U)) < 1, as for "
    "strictly diagonally dominant A",
    shapes=_SHAPES,
    when="large sparse systems with a strong diagonal; every unknown of a sweep can be computed at once",
    pitfalls="diverges for many matrices, positive definite ones among them: refused, with the spectral "
    "radius",
    source="Jacobi, 1845; " + _SAAD + "4",
    example=_show("jacobi"),
    traits={"system": "square", "iterative": True},
)
def jacobi(A: Tensor, b: Tensor, tolerance: float = 1e-6, max_iter: int = 10_000) -> Solution:
    """Jacobi iteration: every unknown from the other unknowns of the last sweep."""
    A, b = square("jacobi", A, b)
    return _stationary("jacobi", A, b, A.diagonal().diag(), tolerance, max_iter)


@registered(
    kind=_KIND,
    name="gauss-seidel",
    aliases=("gs", "successive-displacement"),
    formula="x ← (D + L)⁻¹(b − U x), A = L + D + U; converges if and only if ρ((D + L)⁻¹ U) < 1, as for "
    "strictly diagonally dominant and for symmetric positive definite A",
    shapes=_SHAPES,
    when="as jacobi; half its sweeps on the Poisson equation, as every new value is used at once",
    pitfalls="one unknown after the other; diverges where the spectral radius is at or above 1: refused",
    source="Seidel, 1874; " + _SAAD + "4",
    example=_show("gauss-seidel"),
    traits={"system": "square", "iterative": True},
)
def gauss_seidel(A: Tensor, b: Tensor, tolerance: float = 1e-6, max_iter: int = 10_000) -> Solution:
    """Gauss–Seidel iteration: every unknown from the newest values of the others."""
    A, b = square("gauss-seidel", A, b)
    return _stationary("gauss-seidel", A, b, A.tril(), tolerance, max_iter)


def _stationary(owner: str, A: Tensor, b: Tensor, M: Tensor, tolerance: float, max_iter: int) -> Solution:
    """Iterate x ← x + M⁻¹(b − A x), M lower triangular, until the residual is small."""
    check_number(owner, "tolerance", tolerance, 0.0)
    check_count(owner, "max_iter", max_iter)
    if bool((A.diagonal() == 0).any()):
        raise DataError(
            f"{owner} cannot take this matrix", expected="no zero on the diagonal", received="zeros on it"
        )
    solve = torch.linalg.solve_triangular
    if len(A) <= _SPECTRUM_MOST:
        radius = float(torch.linalg.eigvals(torch.eye(len(A)).to(A) - solve(M, A, upper=False)).abs().max())
        if radius >= 1:
            raise _refused(owner, f"a spectral radius of {radius:.4g}")
    right = b[:, None] if b.ndim == 1 else b
    x, first = torch.zeros_like(right), float(torch.linalg.vector_norm(right))
    for step in range(max_iter + 1):
        residual = right - A @ x
        size = float(torch.linalg.vector_norm(residual))
        if size <= tolerance * (first or 1.0):
            return Solution(x.reshape(b.shape), step, relative_residual(residual, right))
        if not size <= 1e6 * first:
            raise _refused(owner, f"a residual {size / first:.1e} times the first after {step} sweeps")
        x = x + solve(M, residual, upper=False)
    raise _unfinished(owner, tolerance, max_iter, size / first)


def _refused(owner: str, received: str) -> DataError:
    return DataError(
        f"{owner} would not converge on this matrix",
        expected="a spectral radius of the iteration below 1, as a dominant diagonal gives",
        received=received,
        hint='"lu", or "conjugate-gradient" for a symmetric positive definite A',
    )


def _unfinished(owner: str, tolerance: float, max_iter: int, residual: float) -> DataError:
    return DataError(
        f"{owner} has not converged",
        expected=f"a relative residual of {tolerance:g} within {max_iter} iterations",
        received=f"{residual:.3g}",
        hint="a larger max_iter, a looser tolerance, or a direct solver",
    )


@registered(
    kind=_KIND,
    name="conjugate-gradient",
    aliases=("cg", "conjugate-gradients"),
    formula="p ← r + (rᵀr / r₋ᵀr₋) p₋; x ← x + (rᵀr / pᵀA p) p; r = b − A x: x minimises ½xᵀAx − bᵀx over "
    "the Krylov space span{b, A b, A²b, …}; at most n steps, in practice ∝ √κ, κ = λ_max/λ_min",
    shapes=_SHAPES + "; A may be a function v ↦ A v of (n,) → (n,)",
    when="large symmetric positive definite A, of which only the products A v are needed",
    pitfalls="refuses an A that is not symmetric, or along which the curvature is not positive",
    source="Hestenes and Stiefel, Methods of Conjugate Gradients for Solving Linear Systems, 1952",
    differs="scipy.sparse.linalg.cg, which does not notice that A is not positive definite",
    example=_show("conjugate-gradient"),
    traits={"system": "square", "iterative": True},
)
def conjugate_gradient(
    A: Matrix, b: Tensor, tolerance: float = 1e-6, max_iter: int | None = None
) -> Solution:
    """Conjugate gradients: each step minimises over all directions so far."""
    return _krylov("conjugate-gradient", A, b, None, tolerance, max_iter)


@registered(
    kind=_KIND,
    name="preconditioned-conjugate-gradient",
    aliases=("pcg", "preconditioned-cg"),
    formula="conjugate gradients on M⁻¹A x = M⁻¹b; M = diag(A), or preconditioner(r) = M⁻¹ r for one of "
    "your own",
    shapes=_SHAPES + "; A may be a function v ↦ A v, and then needs a preconditioner",
    when="A whose unknowns are scaled very differently: far fewer steps than without",
    pitfalls="M must be symmetric positive definite too; the diagonal does not help where it is constant",
    source="Concus, Golub and O'Leary, A Generalized Conjugate Gradient Method, 1976; " + _SAAD + "9",
    example=_show("preconditioned-conjugate-gradient"),
    traits={"system": "square", "iterative": True},
)
def preconditioned_conjugate_gradient(
    A: Matrix,
    b: Tensor,
    preconditioner: Callable[[Tensor], Tensor] | None = None,
    tolerance: float = 1e-6,
    max_iter: int | None = None,
) -> Solution:
    """Conjugate gradients on a system whose unknowns were rescaled."""
    name = "preconditioned-conjugate-gradient"
    if preconditioner is None:
        if not isinstance(A, Tensor):
            raise DataError(f"{name} needs a preconditioner", expected="a function", received="only v ↦ A v")
        square(name, A, b)
        diagonal = A.diagonal()
        if bool((diagonal <= 0).any()):
            raise _indefinite(name, "a diagonal that is not positive")
        return _krylov(name, A, b, lambda r: r / diagonal.to(r), tolerance, max_iter)
    return _krylov(name, A, b, preconditioner, tolerance, max_iter)


def _indefinite(owner: str, received: str) -> DataError:
    return DataError(
        f"{owner} cannot take this matrix",
        expected="a symmetric and positive definite A",
        received=received,
        hint='"lu", or the least-squares solvers',
    )


def _krylov(
    owner: str,
    A: Matrix,
    b: Tensor,
    preconditioner: Callable[[Tensor], Tensor] | None,
    tolerance: float,
    max_iter: int | None,
) -> Solution:
    check_number(owner, "tolerance", tolerance, 0.0)
    if max_iter is not None:
        check_count(owner, "max_iter", max_iter)
    if isinstance(A, Tensor):
        matrix, b = square(owner, A, b)
        if not is_symmetric(matrix):
            raise _indefinite(owner, "A ≠ Aᵀ")
        product: Callable[[Tensor], Tensor] = matrix.__matmul__
    else:
        product = A
    columns = (b[:, None] if b.ndim == 1 else b).unbind(1)
    found = [_one(owner, product, column, preconditioner, tolerance, max_iter) for column in columns]
    x = torch.stack([x for x, _ in found], 1).reshape(b.shape)
    left = torch.stack([product(x) for x, _ in found], 1).reshape(b.shape)
    return Solution(x, max(steps for _, steps in found), relative_residual(b - left, b))


def _one(
    owner: str,
    product: Callable[[Tensor], Tensor],
    b: Tensor,
    preconditioner: Callable[[Tensor], Tensor] | None,
    tolerance: float,
    max_iter: int | None,
) -> tuple[Tensor, int]:
    from scipy.sparse.linalg import LinearOperator, cg

    def multiply(p: Any) -> Any:
        direction = torch.from_numpy(p).to(b)
        image = product(direction)
        # SciPy would go on, to a point that is no solution.
        if not float(direction @ image) > 0:
            raise _indefinite(owner, "a direction p with pᵀA p ≤ 0")
        return image.double().cpu().numpy()

    def rescale(r: Any) -> Any:
        assert preconditioner is not None  # noqa: S101 - made only where there is one
        return preconditioner(torch.from_numpy(r).to(b)).double().cpu().numpy()

    steps = 0

    def count(_: Any) -> None:
        nonlocal steps
        steps += 1

    n, limit = len(b), max_iter or 10 * len(b)
    A = LinearOperator((n, n), matvec=multiply, dtype="float64")
    M = LinearOperator((n, n), matvec=rescale, dtype="float64") if preconditioner else None
    right = b.double().cpu().numpy()
    x, info = cg(A, right, rtol=tolerance, atol=0.0, maxiter=limit, M=M, callback=count)
    found = torch.from_numpy(x).to(b)
    if info != 0:
        raise _unfinished(owner, tolerance, limit, relative_residual(b - product(found), b))
    return found, steps
