"""Layers: fully connected, convolutional, pooling, enlarging, and the connections between them."""

from preceptor.catalogue.layers.causal import CausalConvolution, MaskedConvolution
from preceptor.catalogue.layers.convolution import SameConvolution, TrueConvolution
from preceptor.catalogue.layers.filters import Filter
from preceptor.catalogue.layers.fully_connected import FullyConnected, LinearBottleneck
from preceptor.catalogue.layers.inception import Inception
from preceptor.catalogue.layers.pooling import FractionalMaxPooling, GlobalAveragePooling
from preceptor.catalogue.layers.residual_blocks import (
    BasicBlock,
    BottleneckBlock,
    PaddedShortcut,
    PreActivationBlock,
)
from preceptor.catalogue.layers.skip import Concatenation, Residual
from preceptor.catalogue.layers.upsampling import BicubicUpsampling, MaxUnpooling, ZeroInsertion

__all__ = [
    "BasicBlock",
    "BicubicUpsampling",
    "BottleneckBlock",
    "CausalConvolution",
    "Concatenation",
    "Filter",
    "FractionalMaxPooling",
    "FullyConnected",
    "GlobalAveragePooling",
    "Inception",
    "LinearBottleneck",
    "MaskedConvolution",
    "MaxUnpooling",
    "PaddedShortcut",
    "PreActivationBlock",
    "Residual",
    "SameConvolution",
    "TrueConvolution",
    "ZeroInsertion",
]
