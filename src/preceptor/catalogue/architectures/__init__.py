"""Architectures: whole networks by name, built for the shape of one example and a number of outputs."""

from preceptor.catalogue.architectures import resnext
from preceptor.catalogue.architectures.alexnet import AlexNet
from preceptor.catalogue.architectures.autoencoder import Autoencoder, ConvolutionalAutoencoder
from preceptor.catalogue.architectures.convnet import ConvNet
from preceptor.catalogue.architectures.densenet import CifarDenseNet, DenseNet
from preceptor.catalogue.architectures.fcn import FullyConvolutional
from preceptor.catalogue.architectures.fractalnet import FractalBlock, FractalNet
from preceptor.catalogue.architectures.googlenet import GoogLeNet
from preceptor.catalogue.architectures.hand_designed import HandDesigned
from preceptor.catalogue.architectures.inception_v3 import InceptionV3
from preceptor.catalogue.architectures.ladder import Ladder
from preceptor.catalogue.architectures.lenet import LeNet5, LeNet5Original
from preceptor.catalogue.architectures.linear import Linear
from preceptor.catalogue.architectures.maxout import MaxoutNetwork
from preceptor.catalogue.architectures.mlp import MLP
from preceptor.catalogue.architectures.nin import NetworkInNetwork
from preceptor.catalogue.architectures.polynomial import Polynomial
from preceptor.catalogue.architectures.preact_resnet import CifarPreActivationResNet, PreActivationResNet
from preceptor.catalogue.architectures.recurrent import GRU, IRNN, LSTM, MRNN, RNN, StaticRNN
from preceptor.catalogue.architectures.resnet import ResNet
from preceptor.catalogue.architectures.resnet_cifar import CifarResNet
from preceptor.catalogue.architectures.squeezenet import SqueezeNet
from preceptor.catalogue.architectures.tcn import TCN
from preceptor.catalogue.architectures.transformer import Transformer
from preceptor.catalogue.architectures.unet import UNet
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
    "DenseNet",
    "FractalBlock",
    "FractalNet",
    "FullyConvolutional",
    "GoogLeNet",
    "HandDesigned",
    "InceptionV3",
    "Ladder",
    "LeNet5",
    "LeNet5Original",
    "Linear",
    "MaxoutNetwork",
    "NetworkInNetwork",
    "Polynomial",
    "PreActivationResNet",
    "ResNet",
    "SqueezeNet",
    "StaticRNN",
    "Transformer",
    "UNet",
    "WideResNet",
    "Xception",
    "resnext",
]
