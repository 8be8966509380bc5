"""Linear solvers: closed forms, factorisations and iterations for A x = b and for least squares."""

from preceptor.catalogue.solvers._system import Solution
from preceptor.catalogue.solvers.direct import cholesky, lu
from preceptor.catalogue.solvers.iterative import (
    conjugate_gradient,
    gauss_seidel,
    jacobi,
    preconditioned_conjugate_gradient,
)
from preceptor.catalogue.solvers.least_squares import landweber, least_squares, normal_equations, qr, ridge

__all__ = [
    "Solution",
    "cholesky",
    "conjugate_gradient",
    "gauss_seidel",
    "jacobi",
    "landweber",
    "least_squares",
    "lu",
    "normal_equations",
    "preconditioned_conjugate_gradient",
    "qr",
    "ridge",
]
