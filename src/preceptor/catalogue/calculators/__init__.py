"""Calculators: sizes, counts, receptive fields, optima."""

from preceptor.catalogue.calculators.effect import RegularizationEffect, regularization_effect
from preceptor.catalogue.calculators.reach import ReceptiveField, receptive_field
from preceptor.catalogue.calculators.sizes import (
    LayerSize,
    convolution_parameters,
    layer_size,
    mlp_parameters,
    output_size,
)
from preceptor.catalogue.calculators.weights import (
    normalization_order,
    ridge_shift,
)

__all__ = [
    "LayerSize",
    "ReceptiveField",
    "RegularizationEffect",
    "convolution_parameters",
    "layer_size",
    "mlp_parameters",
    "normalization_order",
    "output_size",
    "receptive_field",
    "regularization_effect",
    "ridge_shift",
]
