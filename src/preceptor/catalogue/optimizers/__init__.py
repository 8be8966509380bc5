"""Optimizers: torch's own (fused) where torch has them, recipes of ours where it has none."""

from preceptor.catalogue.optimizers import adaptive, second_order, stochastic
from preceptor.catalogue.optimizers._bfgs import BFGS
from preceptor.catalogue.optimizers._least_squares import LeastSquares
from preceptor.catalogue.optimizers._newton import Newton
from preceptor.catalogue.optimizers.first_order import Adaptive, LookAhead, Velocity

__all__ = [
    "BFGS",
    "Adaptive",
    "LeastSquares",
    "LookAhead",
    "Newton",
    "Velocity",
    "adaptive",
    "second_order",
    "stochastic",
]
