"""Regularizers: penalties, constraints, noise, dropout, and ways to train."""

from preceptor.catalogue.regularizers.connections import DropConnect, DropConnectLayer, StochasticDepth
from preceptor.catalogue.regularizers.constraints import MaxNorm, ParameterSharing, WeightDecay
from preceptor.catalogue.regularizers.dropout import ClassicDropout, GaussianNoise
from preceptor.catalogue.regularizers.forcing import ScheduledSampling, TeacherForcing
from preceptor.catalogue.regularizers.moments import MOMENTS, Regularizer
from preceptor.catalogue.regularizers.noise import (
    ConfidencePenalty,
    GradientNoise,
    LabelSmoothing,
    TargetNoise,
    WeightNoise,
)
from preceptor.catalogue.regularizers.penalties import L1, ElasticNet, ParameterTying
from preceptor.catalogue.regularizers.procedures import EarlyStopping, GradientClipping, SGDNoise
from preceptor.catalogue.regularizers.starting_point import L2SP

__all__ = [
    "L1",
    "L2SP",
    "MOMENTS",
    "ClassicDropout",
    "ConfidencePenalty",
    "DropConnect",
    "DropConnectLayer",
    "EarlyStopping",
    "ElasticNet",
    "GaussianNoise",
    "GradientClipping",
    "GradientNoise",
    "LabelSmoothing",
    "MaxNorm",
    "ParameterSharing",
    "ParameterTying",
    "Regularizer",
    "SGDNoise",
    "ScheduledSampling",
    "StochasticDepth",
    "TargetNoise",
    "TeacherForcing",
    "WeightDecay",
    "WeightNoise",
]
