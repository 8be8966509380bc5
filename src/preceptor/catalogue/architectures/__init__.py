"""Architectures: whole networks by name, built for the shape of one example and a number of outputs."""

from preceptor.catalogue.architectures.lenet import LeNet5
from preceptor.catalogue.architectures.linear import Linear
from preceptor.catalogue.architectures.mlp import MLP
from preceptor.catalogue.architectures.polynomial import Polynomial

__all__ = ["MLP", "LeNet5", "Linear", "Polynomial"]
