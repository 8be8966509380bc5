"""A small problem to train, made to order; and generators that no test disturbs for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from preceptor import catalogue
from preceptor.data import generators
from preceptor.data.batches import LoaderBatches, TensorBatches
from preceptor.tasks import Classification
from preceptor.training import Problem

_G = torch.Generator().manual_seed(0)
X = torch.randn(59, 6, generator=_G)
Y = (X[:, 0] > 0).long() + (X[:, 1] * X[:, 2] > 0).long()


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with generators.seeded(0):
        yield


@pytest.fixture
def examples() -> tuple[Tensor, Tensor]:
    """46 examples of three classes to learn from, and 13 more to validate on."""
    return X, Y


@pytest.fixture
def make_problem() -> Callable[..., Problem]:
    """A function that makes the same problem each time it is called with the same arguments."""

    def make(
        model: Callable[[], nn.Module] | None = None,
        *,
        optimizer: str = "adam",
        batch_size: int = 8,
        loader: DataLoader[Any] | None = None,
        dtype: torch.dtype = torch.float32,
        val: bool = True,
        **rest: Any,
    ) -> Problem:
        options = rest.pop("options", {})
        with generators.seeded(3):
            made = (model or _dropout_net)().to(dtype)
        x, y = X.to(dtype), Y
        train = (
            LoaderBatches(loader) if loader else TensorBatches(x[:46], y[:46], batch_size=batch_size, seed=7)
        )
        return Problem(
            model=made,
            criterion=nn.CrossEntropyLoss(),
            optimizer=catalogue.get(optimizer, made.parameters(), kind="optimizer", **options),
            train=train,
            val=TensorBatches(x[46:], y[46:], batch_size=32, shuffle=False) if val else None,
            **{
                "task": Classification(("a", "b", "c")),
                "monitor": "val_loss" if val else "train_loss_running",
                **rest,
            },
        )

    return make


def _dropout_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Dropout(0.3), nn.Linear(10, 3))
