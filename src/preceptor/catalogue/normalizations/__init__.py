"""Normalisations of batches, examples, weights and inputs, and what can be done to them afterwards."""

from preceptor.catalogue.normalizations.batch import BatchNorm, batch_norms
from preceptor.catalogue.normalizations.each import InstanceNorm, LayerNorm, RMSNorm
from preceptor.catalogue.normalizations.inputs import InputStandardization
from preceptor.catalogue.normalizations.transforms import population_statistics
from preceptor.catalogue.normalizations.weights import spectral_norm, weight_norm

__all__ = [
    "BatchNorm",
    "InputStandardization",
    "InstanceNorm",
    "LayerNorm",
    "RMSNorm",
    "batch_norms",
    "population_statistics",
    "spectral_norm",
    "weight_norm",
]
