"""The nets of the planted programs, one of each family and what is changed in some."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Features, and a head that makes the outputs of them."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class LastState(nn.Module):
    """A recurrent net that gives its state after the last element of a sequence."""

    def __init__(self, cells: nn.Module) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(x)
        return states[:, -1]


class Patches(nn.Module):
    """A transformer over the rows of an image, or the elements of a sequence; the mean of its tokens."""

    def __init__(self, size: int = 8, length: int = 8, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.embed = nn.Linear(size, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).mean(dim=1)


class ChannelsFirst(nn.Module):
    """Moves the channels of an image to where convolutions expect them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.permute(0, 3, 1, 2))


class Memory(nn.Module):
    """Adds a running average of what the first layer has given so far to what it gives now."""

    def __init__(self, first: nn.Module, width: int) -> None:
        super().__init__()
        self.first = first
        self.detached = True
        self.register_buffer("average", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        state = self.first(x)
        if self.training:
            average = 0.9 * self.average + 0.1 * state.mean(dim=0)
            self.average = average.detach() if self.detached else average
        return state - self.average


class Letters(nn.Module):
    """A recurrent net over stretches of text that carries its state from one stretch to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.detached = True
        self.embed = nn.Embedding(12, 16)
        self.into = nn.Linear(16, 64)
        self.across = nn.Linear(64, 64)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        state = self.state if self.training else None
        tokens = self.into(self.embed(x))
        states = []
        for at in range(x.shape[1]):
            state = torch.tanh(tokens[:, at] + (0 if state is None else self.across(state)))
            states.append(state)
        if self.training:
            self.state = state.detach() if self.detached else state
        return torch.stack(states, dim=1)


def deep_mlp() -> nn.Module:
    layers = [nn.Linear(64, 48), nn.ReLU()]
    for _ in range(5):
        layers += [nn.Linear(48, 48), nn.ReLU()]
    return Net(nn.Sequential(*layers), nn.Linear(48, 10))


def deep_cnn() -> nn.Module:
    layers = [nn.Conv2d(1, 12, 3, padding=1), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(12, 12, 3, padding=1), nn.ReLU()]
    return Net(nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten()), nn.Linear(192, 10))


def deep_autoencoder() -> nn.Module:
    def stack(sizes: list[int]) -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    decoder = nn.Sequential(nn.ReLU(), stack([24, 40, 52, 64]))
    return Net(stack([64, 52, 40, 24]), decoder)


def identity_rnn() -> nn.Module:
    cells = nn.RNN(1, 32, nonlinearity="relu", batch_first=True)
    nn.init.eye_(cells.weight_hh_l0)
    nn.init.normal_(cells.weight_ih_l0, std=0.1)
    return Net(LastState(cells), nn.Linear(32, 1))


def mlp(inputs: int = 64, outputs: int = 10, width: int = 64, dropout: float = 0.1) -> nn.Module:
    features = nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU()
    )
    return Net(features, nn.Linear(width, outputs))


def cnn(outputs: int = 10, channels: int = 1) -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    return Net(features, nn.Sequential(nn.Dropout(0.2), nn.Linear(96, outputs)))


def gru(inputs: int = 8, outputs: int = 10) -> nn.Module:
    return Net(
        LastState(nn.GRU(inputs, 48, batch_first=True)),
        nn.Sequential(nn.Dropout(0.1), nn.Linear(48, outputs)),
    )


def transformer(inputs: int = 8, length: int = 8, outputs: int = 10) -> nn.Module:
    return Net(Patches(inputs, length), nn.Linear(32, outputs))


def autoencoder() -> nn.Module:
    encoder = nn.Sequential(nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16))
    return Net(encoder, nn.Sequential(nn.ReLU(), nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 64)))
