"""The networks and data that the loops are compared on, and what a loop has to show for its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["LR", "WORKLOADS", "Outcome", "Workload", "loaders"]

LR = 1e-3
_DISTANCE = 3.0  # of a class's pattern from the origin, in standard deviations of the noise


@dataclass(frozen=True)
class Workload:
    """One network with its data: ``steps`` training batches, and a fifth as many examples for validation."""

    name: str
    modules: Callable[[], list[nn.Module]]
    shape: tuple[int, ...]
    classes: int
    batch: int
    steps: int
    convolutional: bool = False

    def model(self) -> nn.Sequential:
        """Return the network, always with the same weights; torch's generator is seeded by it."""
        torch.manual_seed(1)
        return nn.Sequential(*self.modules())

    def data(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return x, y and validation x, y: each class a pattern under noise, faint enough to leave errors."""
        generator = torch.Generator().manual_seed(0)
        train = self.batch * self.steps
        y = torch.randint(self.classes, (train + train // 5,), generator=generator)
        pattern = torch.randn((self.classes, *self.shape), generator=generator)
        noise = torch.randn((len(y), *self.shape), generator=generator)
        x = noise + pattern[y] * (_DISTANCE / pattern[0].numel() ** 0.5)
        return x[:train], y[:train], x[train:], y[train:]


@dataclass(frozen=True)
class Outcome:
    """What a row reached: proof that it did the work it is timed for."""

    steps: int
    val_loss: float
    val_accuracy: float


def _mlp(*sizes: int) -> list[nn.Module]:
    layers = [m for pair in pairwise(sizes) for m in (nn.Linear(*pair), nn.ReLU())]
    return layers[:-1]


def _lenet() -> list[nn.Module]:
    convolutions = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    convolutions += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return convolutions + _mlp(400, 120, 84, 10)


WORKLOADS = {
    w.name: w
    for w in (
        Workload("tiny", partial(_mlp, 32, 64, 4), (32,), 4, batch=64, steps=128),
        Workload("mlp", partial(_mlp, 784, 256, 128, 10), (784,), 10, batch=128, steps=100),
        Workload("lenet", _lenet, (1, 28, 28), 10, batch=64, steps=60, convolutional=True),
    )
}


def loaders(work: Workload) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return what a PyTorch user feeds from: a shuffling DataLoader and one for validation."""
    x, y, val_x, val_y = work.data()
    train = DataLoader(TensorDataset(x, y), batch_size=work.batch, shuffle=True)
    return train, DataLoader(TensorDataset(val_x, val_y), batch_size=work.batch)
