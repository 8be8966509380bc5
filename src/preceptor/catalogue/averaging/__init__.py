"""Averages: of weights over the steps of a training, and of several models' predictions."""

from preceptor.catalogue.averaging.models import Bagging, ModelAverage
from preceptor.catalogue.averaging.weights import EMA, Polyak, Snapshots, WeightAverage

__all__ = ["EMA", "Bagging", "ModelAverage", "Polyak", "Snapshots", "WeightAverage"]
