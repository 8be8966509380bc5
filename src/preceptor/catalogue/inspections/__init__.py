"""Inspections: what to look at in data, weights, activations, gradients and runs, as numbers and pictures."""

from preceptor.catalogue._inspection import Inspection, Picture
from preceptor.catalogue.inspections.architectures import architecture_chart
from preceptor.catalogue.inspections.attribution import (
    class_activation_map,
    grad_cam,
    integrated_gradients,
    smoothgrad,
)
from preceptor.catalogue.inspections.clipping import ClippingBias
from preceptor.catalogue.inspections.costs import sequence_growth
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
from preceptor.catalogue.inspections.recurrence import attractor_map, logistic_map, recurrent_spectrum
from preceptor.catalogue.inspections.roles import extraction_and_selection
from preceptor.catalogue.inspections.runs import StepTimer, learning_curve, solver_cost
from preceptor.catalogue.inspections.weights import permute_units, weight_symmetry

__all__ = [
    "ClippingBias",
    "DriftMonitor",
    "Inspection",
    "Picture",
    "StepTimer",
    "activation_histograms",
    "architecture_chart",
    "attractor_map",
    "class_activation_map",
    "condition_number",
    "contour",
    "convex_combination",
    "convexity_test",
    "covariate_shift",
    "duplicates",
    "embedding",
    "extraction_and_selection",
    "feature_maps",
    "first_layer_filters",
    "grad_cam",
    "gradient_by_lag",
    "gradient_noise",
    "gradient_norms",
    "integrated_gradients",
    "layer_redundancy",
    "learning_curve",
    "level_line",
    "linear_separability",
    "logistic_map",
    "loss_surface",
    "occlusion",
    "permute_units",
    "recurrent_spectrum",
    "saliency",
    "sequence_growth",
    "singular_values",
    "smoothgrad",
    "solver_cost",
    "weight_symmetry",
]
