"""Batches that come from other processes."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ._twice import evaluations, losses_of, twice

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (48,), generator=torch.Generator().manual_seed(2))


def train(method: str, persistent: bool) -> dict[str, Any]:
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    model, losses, means = nn.Linear(4, 3), [], []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(
        TensorDataset(X, Y),
        8,
        shuffle=True,
        num_workers=2,
        multiprocessing_context=method,
        persistent_workers=persistent,
    )
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            means.append(functional.cross_entropy(model(X), Y).item())
    return {"losses": losses, "means": means, "model": model}


@pytest.mark.parametrize(
    ("method", "persistent"),
    [("fork", False), ("fork", True), pytest.param("spawn", True, marks=pytest.mark.slow)],
)
def test_workers(method: str, persistent: bool) -> None:
    watch, made = twice(lambda: train(method, persistent))
    assert losses_of(watch) == made["losses"]
    (phase,) = evaluations(watch)
    assert losses_of(watch, phase) == made["means"]
    assert (watch.steps.train, watch.steps.epochs) == (12, 2)
    (loader,) = watch.record.facts["loaders"]
    assert loader["workers"] == 2
    assert watch.record.signal("data_seconds").values.min() >= 0


def first_batches() -> list[int]:
    """Looks at the first batch of many loaders, and breaks off."""
    sizes, gone = [], []
    for _ in range(10):
        dataset = TensorDataset(X.clone())
        gone.append(weakref.ref(dataset))
        loader = DataLoader(dataset, 8)
        sizes.append(len(next(iter(loader))[0]))
        for (x,) in DataLoader(dataset, 16):
            sizes.append(len(x))
            break
    del dataset, loader
    assert [ref for ref in gone if ref() is not None] == []
    return sizes


def test_loaders_that_are_broken_off_are_freed() -> None:
    twice(first_batches)
