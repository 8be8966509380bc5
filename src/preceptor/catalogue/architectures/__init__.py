"""Architectures: whole networks by name, built for the shape of one example and a number of outputs."""

from preceptor.catalogue.architectures import resnext
from preceptor.catalogue.architectures.alexnet import AlexNet
from preceptor.catalogue.architectures.autoencoder import Autoencoder, ConvolutionalAutoencoder
from preceptor.catalogue.architectures.convnet import ConvNet
from preceptor.catalogue.architectures.crf import RecurrentCRF
from preceptor.catalogue.architectures.crnn import ConvolutionalRecurrent
from preceptor.catalogue.architectures.densenet import CifarDenseNet, DenseNet
from preceptor.catalogue.architectures.densities import (
    GaussianMixture,
    MaskedAutoregressive,
    ReconstructionError,
)
from preceptor.catalogue.architectures.fcn import FullyConvolutional
from preceptor.catalogue.architectures.fractalnet import FractalBlock, FractalNet
from preceptor.catalogue.architectures.googlenet import GoogLeNet
from preceptor.catalogue.architectures.hand_designed import HandDesigned
from preceptor.catalogue.architectures.inception_v3 import InceptionV3
from preceptor.catalogue.architectures.kernel_density import KernelDensity
from preceptor.catalogue.architectures.ladder import Ladder
from preceptor.catalogue.architectures.lenet import LeNet5, LeNet5Original
from preceptor.catalogue.architectures.linear import Linear
from preceptor.catalogue.architectures.maxout import MaxoutNetwork
from preceptor.catalogue.architectures.mlp import MLP
from preceptor.catalogue.architectures.neural_language_model import NeuralLanguageModel
from preceptor.catalogue.architectures.nin import NetworkInNetwork
from preceptor.catalogue.architectures.polynomial import Polynomial
from preceptor.catalogue.architectures.preact_resnet import CifarPreActivationResNet, PreActivationResNet
from preceptor.catalogue.architectures.recurrent import GRU, IRNN, LSTM, MRNN, RNN, StaticRNN
from preceptor.catalogue.architectures.resnet import ResNet
from preceptor.catalogue.architectures.resnet_cifar import CifarResNet
from preceptor.catalogue.architectures.seq2seq import Seq2Seq, Seq2SeqAttention, Seq2SeqTransformer
from preceptor.catalogue.architectures.spans import SpanParser
from preceptor.catalogue.architectures.squeezenet import SqueezeNet
from preceptor.catalogue.architectures.tcn import TCN
from preceptor.catalogue.architectures.transformer import Transformer
from preceptor.catalogue.architectures.unet import UNet
from preceptor.catalogue.architectures.variational import VariationalAutoencoder
from preceptor.catalogue.architectures.vgg import VGG
from preceptor.catalogue.architectures.wide_resnet import WideResNet
from preceptor.catalogue.architectures.xception import Xception

__all__ = [
    "GRU",
    "IRNN",
    "LSTM",
    "MLP",
    "MRNN",
    "RNN",
    "TCN",
    "VGG",
    "AlexNet",
    "Autoencoder",
    "CifarDenseNet",
    "CifarPreActivationResNet",
    "CifarResNet",
    "ConvNet",
    "ConvolutionalAutoencoder",
    "ConvolutionalRecurrent",
    "DenseNet",
    "FractalBlock",
    "FractalNet",
    "FullyConvolutional",
    "GaussianMixture",
    "GoogLeNet",
    "HandDesigned",
    "InceptionV3",
    "KernelDensity",
    "Ladder",
    "LeNet5",
    "LeNet5Original",
    "Linear",
    "MaskedAutoregressive",
    "MaxoutNetwork",
    "NetworkInNetwork",
    "NeuralLanguageModel",
    "Polynomial",
    "PreActivationResNet",
    "ReconstructionError",
    "RecurrentCRF",
    "ResNet",
    "Seq2Seq",
    "Seq2SeqAttention",
    "Seq2SeqTransformer",
    "SpanParser",
    "SqueezeNet",
    "StaticRNN",
    "Transformer",
    "UNet",
    "VariationalAutoencoder",
    "WideResNet",
    "Xception",
    "resnext",
]
