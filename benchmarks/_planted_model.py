"""Plants of the family 'model': what the network is made of, and how it starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from _planted_hosts import (
    AUTOENCODER,
    AUTOENCODER_DEEP,
    CNN,
    CNN_BLURRED,
    CNN_DEEP,
    MLP,
    MLP_BLURRED,
    MLP_DEEP,
    MLP_SGD,
    REGRESSION,
    RNN,
    RNN_BLURRED,
    TRANSFORMER,
    adam,
)
from _planted_nets import (
    LastState,
    Net,
    Patches,
    mlp,
)
from _planted_plant import Plant, exchanged, plants, remodelled
from _planted_problem import Problem


def activated_by(kind: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """Every ReLU becomes another activation, or none."""

    def change(model: nn.Module) -> nn.Module:
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.ReLU):
                    setattr(module, name, kind())
        return model

    return remodelled(change)


def started(fill: Callable[[Tensor], object]) -> Callable[[Problem], Problem]:
    """Every weight matrix and kernel is filled anew."""

    def change(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    fill(parameter)
        return model

    return remodelled(change)


def without_norm(model: nn.Module) -> nn.Module:
    """Return it with batch normalisation taken out."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return model


def dropping(p: float) -> Callable[[Problem], Problem]:
    def change(model: nn.Module) -> nn.Module:
        model.head = nn.Sequential(nn.Dropout(p), model.head)
        return model

    return remodelled(change)


def normed(layer: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """Batch normalisation between features and head."""

    def change(model: nn.Module) -> nn.Module:
        model.features = nn.Sequential(model.features, layer())
        return model

    return remodelled(change)


def with_spare(model: nn.Module) -> nn.Module:
    model.spare = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    return model


def narrow_cnn() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten())
    return Net(features, nn.Linear(4, 10))


def narrow_gru() -> nn.Module:
    return Net(LastState(nn.GRU(8, 2, batch_first=True)), nn.Linear(2, 10))


def narrow_autoencoder() -> nn.Module:
    encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 1))
    return Net(encoder, nn.Sequential(nn.Linear(1, 48), nn.ReLU(), nn.Linear(48, 64)))


def thrice_mlp() -> nn.Module:
    middle = nn.Linear(64, 64)
    features = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), middle, nn.ReLU(), middle, nn.ReLU(), middle, nn.ReLU()
    )
    return Net(features, nn.Linear(64, 10))


def thrice_cnn() -> nn.Module:
    middle = nn.Conv2d(12, 12, 3, padding=1)
    features = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), *[middle, nn.ReLU()] * 3, nn.MaxPool2d(4), nn.Flatten()
    )
    return Net(features, nn.Linear(48, 10))


def same_blocks() -> nn.Module:
    model = Net(Patches(), nn.Linear(32, 10))
    model.features.blocks = nn.ModuleList([model.features.blocks[0]] * 2)
    return model


def same_ends() -> nn.Module:
    middle = nn.Linear(48, 48)
    encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), middle, nn.ReLU(), middle)
    return Net(encoder, nn.Sequential(nn.ReLU(), middle, nn.ReLU(), nn.Linear(48, 64)))


def saturated(model: Callable[[], nn.Module]) -> Callable[[Problem], Problem]:
    """Another model, at a rate at which it gets as far as it can."""
    return exchanged(model=model, optimizer=partial(adam, lr=2e-2), schedule=None)


PLANTS: list[Plant] = [
    *plants(
        "unsuitable-hidden-activation",
        "sigmoid between many layers",
        activated_by(nn.Sigmoid),
        *(MLP_DEEP, CNN_DEEP, AUTOENCODER_DEEP),
    ),
    *plants(
        "missing-nonlinearity",
        "activations left out",
        activated_by(nn.Identity),
        *(MLP, CNN_DEEP, AUTOENCODER, REGRESSION),
        exact=True,
    ),
    *plants(
        "bad-initialization",
        "all weights zero",
        started(nn.init.zeros_),
        MLP,
        CNN,
        AUTOENCODER,
        exact=True,
    ),
    *plants(
        "bad-initialization",
        "all weights 0.01",
        started(lambda weight: nn.init.constant_(weight, 0.01)),
        *(MLP_DEEP, CNN_DEEP),
        exact=True,
    ),
    *plants(
        "bad-initialization",
        "weights with deviation 3",
        started(lambda weight: nn.init.normal_(weight, std=3.0)),
        *(MLP_SGD, CNN_DEEP, RNN, TRANSFORMER),
    ),
    *plants("capacity-too-low", "two hidden units", saturated(partial(mlp, 64, 10, 2, 0.0)), MLP),
    *plants("capacity-too-low", "one channel", saturated(narrow_cnn), CNN),
    *plants("capacity-too-low", "two recurrent units", saturated(narrow_gru), RNN),
    *plants("capacity-too-low", "a code of one number", saturated(narrow_autoencoder), AUTOENCODER),
    *plants(
        "overfitting",
        "ten times as many epochs, a wide net",
        exchanged(model=partial(mlp, 10, 1, 256, 0.0), epochs=120, optimizer=partial(adam, lr=3e-3)),
        REGRESSION,
    ),
    *plants(
        "overfitting",
        "eight times as many epochs, a wide net, no dropout",
        exchanged(model=partial(mlp, 64, 10, 256, 0.0), epochs=100),
        MLP_BLURRED,
    ),
    *plants("overfitting", "five times as many epochs", exchanged(epochs=50), CNN_BLURRED, RNN_BLURRED),
    *plants("dropout-too-strong", "rate 0.95", dropping(0.95), MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
    *plants(
        "dropout-too-strong",
        "rate 0.5 on the outputs",
        remodelled(lambda model: nn.Sequential(model, nn.Dropout(0.5))),
        *(MLP, CNN, REGRESSION),
        exact=True,
    ),
    *plants(
        "batch-norm-small-batch",
        "batches of two",
        lambda p: normed(lambda: nn.BatchNorm1d(64))(p.but(batch_size=2, epochs=2)),
        MLP,
        exact=True,
    ),
    *plants(
        "batch-norm-small-batch",
        "batches of two",
        lambda p: normed(lambda: nn.BatchNorm1d(48))(p.but(batch_size=2, epochs=1)),
        RNN,
        exact=True,
    ),
    *plants(
        "batch-norm-small-batch",
        "batches of two",
        lambda p: normed(lambda: nn.BatchNorm1d(96))(p.but(batch_size=2, epochs=2)),
        CNN,
        exact=True,
    ),
    *plants(
        "batch-norm-small-batch", "batches of two", exchanged(batch_size=2, epochs=2), AUTOENCODER, exact=True
    ),
    *plants(
        "unused-parameters",
        "a branch that forward does not call",
        remodelled(with_spare),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
        exact=True,
    ),
    *plants("shared-module", "one layer in three places", exchanged(model=thrice_mlp), MLP, exact=True),
    *plants("shared-module", "one layer in three places", exchanged(model=thrice_cnn), CNN, exact=True),
    *plants("shared-module", "[block] * 2", exchanged(model=same_blocks), TRANSFORMER, exact=True),
    *plants(
        "shared-module",
        "one layer in encoder and decoder",
        exchanged(model=same_ends),
        AUTOENCODER,
        exact=True,
    ),
]
