"""Derivatives: automatic differentiation made visible, checked, and taken to second order."""

from preceptor.catalogue.derivatives.curvature import (
    critical_point,
    hessian,
    hessian_spectrum,
    hessian_vector_product,
    parameter_function,
    taylor_model,
)
from preceptor.catalogue.derivatives.engine import Scalar
from preceptor.catalogue.derivatives.first import (
    gradient,
    gradient_check,
    jacobian,
    jacobian_vector_product,
    vector_jacobian_product,
)
from preceptor.catalogue.derivatives.graphs import computational_graph, network_graph
from preceptor.catalogue.derivatives.kernel import linearized_change, neural_tangent_kernel
from preceptor.catalogue.derivatives.recurrent import detached, truncated_bptt

__all__ = [
    "Scalar",
    "computational_graph",
    "critical_point",
    "detached",
    "gradient",
    "gradient_check",
    "hessian",
    "hessian_spectrum",
    "hessian_vector_product",
    "jacobian",
    "jacobian_vector_product",
    "linearized_change",
    "network_graph",
    "neural_tangent_kernel",
    "parameter_function",
    "taylor_model",
    "truncated_bptt",
    "vector_jacobian_product",
]
