"""Direct solvers: one factorisation, then substitution."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue._registry import registered
from preceptor.catalogue.solvers._system import Solution, is_symmetric, solution, square
from preceptor.errors import DataError

__all__ = ["cholesky", "lu"]

_KIND = "solver"
_SHAPES = "A (n, n), b (n,) or (n, k) → x of b's shape"
_GOLUB = "Golub and Van Loan, Matrix Computations, 4th edition, 2013, chapter "


@registered(
    kind=_KIND,
    name="lu",
    aliases=("lu-decomposition", "gaussian-elimination"),
    formula="P A = L U with row exchanges P; L y = P b, U x = y; (2/3) n³ operations",
    shapes=_SHAPES,
    when="any square A of full rank, up to some thousand unknowns",
    pitfalls="without row exchanges it fails already on [[0, 1], [1, 0]]; of a singular A it says so",
    source=_GOLUB + "3",
    differs="torch.linalg.solve, with the residual beside the solution",
    example="""
        >>> A, b = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([2.0, 3.0])
        >>> get('lu', A, b, kind='solver').x
        tensor([3., 2.])
        """,
    traits={"system": "square"},
)
def lu(A: Tensor, b: Tensor) -> Solution:
    """LU decomposition with partial pivoting: Gaussian elimination kept for use."""
    A, b = square("lu", A, b)
    factors, pivots, info = torch.linalg.lu_factor_ex(A)
    if int(info) != 0:
        return solution("lu", A, b, torch.full_like(b, torch.nan))
    columns = b[:, None] if b.ndim == 1 else b
    return solution("lu", A, b, torch.linalg.lu_solve(factors, pivots, columns).reshape(b.shape))


@registered(
    kind=_KIND,
    name="cholesky",
    aliases=("cholesky-decomposition",),
    formula="A = L Lᵀ; L y = b, Lᵀ x = y; (1/3) n³ operations",
    shapes=_SHAPES,
    when="A symmetric and positive definite, as XᵀX + λI is: half the work of LU, and no row exchanges",
    pitfalls="refuses an A that is not symmetric or not positive definite, where it has no square root",
    source="Benoît, Note sur une méthode de résolution des équations normales (Cholesky), 1924; "
    + _GOLUB
    + "4",
    differs="torch.linalg.cholesky, which reads one triangle alone and so takes an A that is not symmetric",
    example="""
        >>> A, b = torch.tensor([[4.0, 2.0], [2.0, 3.0]]), torch.tensor([2.0, 5.0])
        >>> get('cholesky', A, b, kind='solver').x.round(decimals=3)
        tensor([-0.5000,  2.0000])
        """,
    traits={"system": "square"},
)
def cholesky(A: Tensor, b: Tensor) -> Solution:
    """Cholesky decomposition: the square root of a symmetric positive definite matrix."""
    A, b = square("cholesky", A, b)
    symmetric = is_symmetric(A)
    factor, info = torch.linalg.cholesky_ex(A)
    if not symmetric or int(info) != 0:
        raise DataError(
            "cholesky cannot take this matrix",
            expected="a symmetric and positive definite A",
            received="A ≠ Aᵀ" if not symmetric else f"a leading minor of order {int(info)} that is not > 0",
            hint='"lu" takes any square A of full rank',
        )
    columns = b[:, None] if b.ndim == 1 else b
    return solution("cholesky", A, b, torch.cholesky_solve(columns, factor).reshape(b.shape))
