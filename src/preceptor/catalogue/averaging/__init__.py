"""Averages: of weights over the steps of a training, and of several models' predictions."""

from preceptor.catalogue.averaging.combining import Ambiguity, ambiguity, fitted_shares, majority_vote
from preceptor.catalogue.averaging.models import (
    RULES,
    Bagging,
    ModelAverage,
    average_outputs,
    error_correlation,
    inverse_variance,
)
from preceptor.catalogue.averaging.weights import EMA, SWA, Polyak, Snapshots, WeightAverage

__all__ = [
    "EMA",
    "RULES",
    "SWA",
    "Ambiguity",
    "Bagging",
    "ModelAverage",
    "Polyak",
    "Snapshots",
    "WeightAverage",
    "ambiguity",
    "average_outputs",
    "error_correlation",
    "fitted_shares",
    "inverse_variance",
    "majority_vote",
]
