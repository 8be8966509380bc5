"""Calculators: sizes, counts, receptive fields, optima."""

from preceptor.catalogue.calculators._records import NetworkLayer, NetworkSummary, TrainingMemory
from preceptor.catalogue.calculators.effect import RegularizationEffect, regularization_effect
from preceptor.catalogue.calculators.network import network_summary, training_memory, weight_depth
from preceptor.catalogue.calculators.reach import ReceptiveField, receptive_field
from preceptor.catalogue.calculators.scaling import (
    DeviceMemory,
    StepTime,
    all_reduce_time,
    data_parallel_time,
    device_memory,
)
from preceptor.catalogue.calculators.sequences import SequenceCost, length_schedule, sequence_costs
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
    "DeviceMemory",
    "LayerSize",
    "NetworkLayer",
    "NetworkSummary",
    "ReceptiveField",
    "RegularizationEffect",
    "SequenceCost",
    "StepTime",
    "TrainingMemory",
    "all_reduce_time",
    "convolution_parameters",
    "data_parallel_time",
    "device_memory",
    "layer_size",
    "length_schedule",
    "mlp_parameters",
    "network_summary",
    "normalization_order",
    "output_size",
    "receptive_field",
    "regularization_effect",
    "ridge_shift",
    "sequence_costs",
    "training_memory",
    "weight_depth",
]
