"""Layers: fully connected, convolutional, pooling, enlarging, and the connections between them."""

from preceptor.catalogue.layers._recurrence import RecurrentLayer, Unrolled
from preceptor.catalogue.layers.attention import AdditiveAttention, DotProductAttention, MultiHeadAttention
from preceptor.catalogue.layers.attention_recurrence import AttentionRecurrence
from preceptor.catalogue.layers.autoregressive import AutoregressiveModel
from preceptor.catalogue.layers.auxiliary import AuxiliaryHead, auxiliary_outputs
from preceptor.catalogue.layers.branches import Branches
from preceptor.catalogue.layers.causal import CausalConvolution, MaskedConvolution
from preceptor.catalogue.layers.cells import ElmanCell, GRUCell, LSTMCell, MultiplicativeCell
from preceptor.catalogue.layers.convolution import SameConvolution, TrueConvolution
from preceptor.catalogue.layers.filters import Filter
from preceptor.catalogue.layers.fire import Fire
from preceptor.catalogue.layers.fully_connected import FullyConnected, LinearBottleneck
from preceptor.catalogue.layers.inception import Inception
from preceptor.catalogue.layers.pooling import FractionalMaxPooling, GlobalAveragePooling
from preceptor.catalogue.layers.positions import LearnedPositions, SinusoidalPositions
from preceptor.catalogue.layers.recurrent import LAYERS as RECURRENT_LAYERS
from preceptor.catalogue.layers.residual_blocks import (
    BasicBlock,
    BottleneckBlock,
    PaddedShortcut,
    PreActivationBlock,
)
from preceptor.catalogue.layers.sequences import Reversal, VariationalDropout
from preceptor.catalogue.layers.skip import Concatenation, Residual
from preceptor.catalogue.layers.temporal import TemporalBlock
from preceptor.catalogue.layers.transformer_blocks import DecoderBlock, EncoderBlock, TransformerStack
from preceptor.catalogue.layers.upsampling import BicubicUpsampling, MaxUnpooling, ZeroInsertion

__all__ = [
    "RECURRENT_LAYERS",
    "AdditiveAttention",
    "AttentionRecurrence",
    "AutoregressiveModel",
    "AuxiliaryHead",
    "BasicBlock",
    "BicubicUpsampling",
    "BottleneckBlock",
    "Branches",
    "CausalConvolution",
    "Concatenation",
    "DecoderBlock",
    "DotProductAttention",
    "ElmanCell",
    "EncoderBlock",
    "Filter",
    "Fire",
    "FractionalMaxPooling",
    "FullyConnected",
    "GRUCell",
    "GlobalAveragePooling",
    "Inception",
    "LSTMCell",
    "LearnedPositions",
    "LinearBottleneck",
    "MaskedConvolution",
    "MaxUnpooling",
    "MultiHeadAttention",
    "MultiplicativeCell",
    "PaddedShortcut",
    "PreActivationBlock",
    "RecurrentLayer",
    "Residual",
    "Reversal",
    "SameConvolution",
    "SinusoidalPositions",
    "TemporalBlock",
    "TransformerStack",
    "TrueConvolution",
    "Unrolled",
    "VariationalDropout",
    "ZeroInsertion",
    "auxiliary_outputs",
]
