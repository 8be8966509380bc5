"""Inspections: what to look at in data, weights, activations, gradients and runs, as numbers and pictures."""

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue.inspections.data import (
    condition_number,
    covariate_shift,
    duplicates,
    linear_separability,
    singular_values,
)
from preceptor.catalogue.inspections.embedding import embedding
from preceptor.catalogue.inspections.gradients import (
    gradient_by_lag,
    gradient_noise,
    gradient_norms,
    occlusion,
    saliency,
)
from preceptor.catalogue.inspections.landscape import (
    contour,
    convex_combination,
    convexity_test,
    level_line,
    loss_surface,
)
from preceptor.catalogue.inspections.layers import (
    DriftMonitor,
    activation_histograms,
    feature_maps,
    first_layer_filters,
    layer_redundancy,
)
from preceptor.catalogue.inspections.runs import StepTimer, learning_curve, solver_cost
from preceptor.catalogue.inspections.weights import permute_units, weight_symmetry

__all__ = [
    "DriftMonitor",
    "Inspection",
    "Picture",
    "StepTimer",
    "activation_histograms",
    "condition_number",
    "contour",
    "convex_combination",
    "convexity_test",
    "covariate_shift",
    "duplicates",
    "embedding",
    "feature_maps",
    "first_layer_filters",
    "gradient_by_lag",
    "gradient_noise",
    "gradient_norms",
    "layer_redundancy",
    "learning_curve",
    "level_line",
    "linear_separability",
    "loss_surface",
    "occlusion",
    "permute_units",
    "saliency",
    "singular_values",
    "solver_cost",
    "weight_symmetry",
]
