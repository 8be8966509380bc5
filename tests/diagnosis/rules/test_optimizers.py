"""Ways of stepping that do not suit batches, or fade; and the same where they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rules.optimizers import unsuitable_optimizer
from preceptor.observation.watch import Watch


def _data(size: int = 256, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    x = torch.randn(size, 6)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    return x, y + noise * torch.randn(size, 1)


def _told(
    make: Callable[[Any], torch.optim.Optimizer], batch: int, epochs: int, **data: Any
) -> list[Finding]:
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*_data(**data)), batch_size=batch, shuffle=True)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    with Watch(budget=1.0) as watch:
        optimizer = make(model.parameters())
        for _ in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                functional.mse_loss(model(x), y).backward()
                optimizer.step()
    return list(unsuitable_optimizer(Case(watch.observed)))


def test_signs_that_change_from_batch_to_batch() -> None:
    (finding,) = _told(lambda held: torch.optim.Rprop(held, lr=0.01), batch=16, epochs=40, noise=0.3)
    assert finding.severity == "warning"
    assert finding.evidence["updates an epoch"] == 16


def test_the_whole_of_the_data_suits_them() -> None:
    assert _told(lambda held: torch.optim.Rprop(held, lr=0.01), batch=256, epochs=100) == []


def test_several_steps_on_one_batch_are_not_mini_batches() -> None:
    torch.manual_seed(0)
    x, y = _data()
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    with Watch(budget=1.0) as watch:
        optimizer = torch.optim.Rprop(model.parameters(), lr=1e-4)
        for inputs, target in DataLoader(TensorDataset(x, y), batch_size=256):
            for _ in range(20):
                optimizer.zero_grad()
                functional.mse_loss(model(inputs), target).backward()
                optimizer.step()
    assert list(unsuitable_optimizer(Case(watch.observed))) == []


def test_steps_that_fade_long_before_the_slope_does() -> None:
    (finding,) = _told(lambda held: torch.optim.Adagrad(held, lr=2e-3), batch=16, epochs=30)
    assert finding.severity == "warning"
    assert finding.evidence["update at the end / at the start"] < 1 / 3


def test_a_rate_that_suits_it_is_silent() -> None:
    assert _told(lambda held: torch.optim.Adagrad(held, lr=0.2), batch=16, epochs=60) == []
    assert _told(lambda held: torch.optim.Adagrad(held, lr=0.2), batch=16, epochs=60, noise=1.5) == []
