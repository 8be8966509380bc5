"""What every solver checks before it starts, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from preceptor.errors import DataError

__all__ = ["Matrix", "Solution", "checked", "is_symmetric", "relative_residual", "solution", "square"]

Matrix: TypeAlias = Tensor | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found.

    Attributes:
        x: the solution, (n,) or (n, k) as the right side.
        iterations: steps of an iterative solver; 0 for a direct one.
        residual: ‖b − A x‖ / ‖b‖; of least squares, ‖Aᵀ(b − A x)‖ / ‖Aᵀ b‖, which is 0 at the minimum.
    """

    x: Tensor
    iterations: int
    residual: float

    def __repr__(self) -> str:
        after = f" after {self.iterations} iterations" if self.iterations else ""
        return f"Solution({tuple(self.x.shape)}, relative residual {self.residual:.1e}{after})"


def checked(owner: str, A: Tensor, b: Tensor, *, square: bool) -> tuple[Tensor, Tensor]:
    """Return the system in one floating-point dtype.

    Raises:
        DataError: shapes that do not belong together, or numbers that are not finite.
    """
    fits = A.ndim == 2 and b.ndim in (1, 2) and len(b) == len(A) and A.numel() > 0
    if not fits or (square and A.shape[0] != A.shape[1]):
        raise DataError(
            f"{owner} cannot take this system",
            expected="A (n, n)" * square + "A (m, n)" * (not square) + " and b with as many rows as A",
            received=f"A {tuple(A.shape)}, b {tuple(b.shape)}",
            hint='"qr" or "least-squares" for more rows than columns' if square else None,
        )
    dtype = torch.promote_types(torch.promote_types(A.dtype, b.dtype), torch.float32)
    if dtype.is_complex:
        raise DataError(f"{owner} cannot take this system", expected="real numbers", received=f"{dtype}")
    if not (A.isfinite().all() and b.isfinite().all()):
        raise DataError(f"{owner} cannot take this system", expected="finite numbers", received="NaN or inf")
    return A.detach().to(dtype), b.detach().to(dtype)


def square(owner: str, A: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square system in one floating-point dtype; raise as `checked` does."""
    return checked(owner, A, b, square=True)


def is_symmetric(A: Tensor) -> bool:
    """Return whether A = Aᵀ up to rounding."""
    return bool((A - A.T).abs().max() <= 64 * torch.finfo(A.dtype).eps * A.abs().max())


def relative_residual(residual: Tensor, b: Tensor) -> float:
    """Return ‖residual‖ / ‖b‖, or ‖residual‖ where b is zero."""
    size = float(torch.linalg.vector_norm(b))
    return float(torch.linalg.vector_norm(residual)) / (size if size > 0 else 1.0)


def solution(owner: str, A: Tensor, b: Tensor, x: Tensor, iterations: int = 0) -> Solution:
    """Return the solution of a square system with its residual.

    Raises:
        DataError: it holds numbers that are not finite: A is singular.
    """
    residual = relative_residual(b - A @ x, b)
    if not math.isfinite(residual):
        raise DataError(
            f"{owner}: the matrix is singular",
            expected="an A of full rank",
            received="a pivot of zero",
            hint='"least-squares", which gives the solution of least norm',
        )
    return Solution(x, iterations, residual)
