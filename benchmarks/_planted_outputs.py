"""Plants of the family 'outputs and loss': what the last layer gives and what the loss takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from _planted_hosts import (
    AUTOENCODER,
    CNN,
    CNN_VALUES,
    GREY_AUTOENCODER,
    MLP,
    MLP_SIGN,
    REGRESSION,
    RNN,
    RNN_VALUES,
    TRANSFORMER,
    TRANSFORMER_VALUES,
)
from _planted_nets import (
    cnn,
    gru,
    mlp,
    transformer,
)
from _planted_plant import Plant, exchanged, plants, remodelled
from _planted_problem import Problem, Split, evaluate_values
from _planted_samples import (
    digit_table,
)


def ending(*layers: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """Put layers after the last one."""
    return remodelled(lambda model: nn.Sequential(model, *(layer() for layer in layers)))


def number_of_class(output: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(output.squeeze(1), y.float())


def regressed(model: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """One output that is to equal the number of the class."""
    return lambda problem: problem.but(model=model, loss=lambda: number_of_class, evaluate=evaluate_values)


def standard_copies(seed: int) -> Split:
    split = digit_table(seed)
    return Split(split.x, split.x, split.val_x, split.val_x)


def flat_targets(problem: Problem) -> Problem:
    """Targets lose the axis that outputs have."""

    def data(seed: int) -> Split:
        split = problem.data(seed)
        return Split(split.x, split.y.squeeze(1), split.val_x, split.val_y.squeeze(1))

    return problem.but(data=data)


def likelihood_by_hand(output: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy by its formula; a sharp sigmoid reaches 0 and 1 exactly."""
    p = torch.sigmoid(output / 0.05)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def root_of_squares(output: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt((output - y) ** 2).mean()


class InBatch(nn.Module):
    """Standardises each input over the batch, a constant one included."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(dim=0)) / x.std(dim=0)


class UnitLength(nn.Module):
    """Divides each feature of a sequence by its length over time, one of zeros included."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.norm(dim=1, keepdim=True)


def first(layer: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """Put a layer before the first one."""
    return remodelled(lambda model: nn.Sequential(layer(), model))


_BY_NUMBER = [
    *plants("loss-mismatch", "MSE on the number of the class", regressed(partial(mlp, 64, 1)), MLP),
    *plants("loss-mismatch", "MSE on the number of the class", regressed(partial(cnn, 1)), CNN),
    *plants("loss-mismatch", "MSE on the number of the class", regressed(partial(gru, 8, 1)), RNN),
    *plants(
        "loss-mismatch",
        "MSE on the number of the class",
        regressed(partial(transformer, 8, 8, 1)),
        TRANSFORMER,
    ),
]

PLANTS: list[Plant] = [
    *plants(
        "unsuitable-output-activation",
        "ReLU on the logits",
        ending(nn.ReLU),
        MLP,
        CNN,
        RNN,
        TRANSFORMER,
        exact=True,
    ),
    *plants(
        "unsuitable-output-activation",
        "sigmoid on standardised targets",
        ending(nn.Sigmoid),
        *(REGRESSION, CNN_VALUES, RNN_VALUES),
    ),
    *plants(
        "unsuitable-output-activation",
        "sigmoid on standardised pixels",
        lambda p: ending(nn.Sigmoid)(p.but(data=standard_copies)),
        AUTOENCODER,
        own_data=True,
    ),
    *_BY_NUMBER,
    *plants(
        "loss-mismatch",
        "binary cross-entropy on standardised targets",
        exchanged(loss=nn.BCEWithLogitsLoss),
        *(REGRESSION, CNN_VALUES, RNN_VALUES),
    ),
    *plants(
        "loss-mismatch",
        "binary cross-entropy on standardised pixels",
        exchanged(loss=nn.BCEWithLogitsLoss, data=standard_copies),
        AUTOENCODER,
        own_data=True,
    ),
    *plants(
        "probabilities-as-logits",
        "softmax before cross_entropy",
        ending(partial(nn.Softmax, dim=1)),
        *(MLP, CNN, RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "probabilities-as-logits",
        "sigmoid before binary_cross_entropy_with_logits",
        ending(nn.Sigmoid),
        GREY_AUTOENCODER,
        exact=True,
    ),
    *plants(
        "logits-as-probabilities",
        "nll_loss on logits",
        exchanged(loss=nn.NLLLoss),
        *(MLP, CNN, RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "broadcast-in-loss",
        "outputs (N, 1), targets (N)",
        flat_targets,
        *(REGRESSION, CNN_VALUES, RNN_VALUES, TRANSFORMER_VALUES),
        exact=True,
    ),
    *plants(
        "wrong-softmax-dim",
        "LogSoftmax(dim=0) before nll_loss",
        lambda p: ending(partial(nn.LogSoftmax, dim=0))(p.but(loss=nn.NLLLoss)),
        *(MLP, CNN, RNN, TRANSFORMER),
        exact=True,
    ),
    *plants(
        "numeric-instability",
        "log of a probability that is 0",
        exchanged(loss=lambda: likelihood_by_hand),
        MLP_SIGN,
    ),
    *plants("numeric-instability", "constant columns ÷ 0", first(InBatch), MLP, AUTOENCODER),
    *plants("numeric-instability", "empty columns ÷ 0", first(UnitLength), RNN, TRANSFORMER),
    *plants(
        "numeric-instability",
        "square root at 0",
        lambda p: ending(nn.ReLU)(p.but(loss=lambda: root_of_squares)),
        AUTOENCODER,
    ),
]
