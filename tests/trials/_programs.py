"""Small programs that are watched for trials, healthy or with one fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from preceptor.observation.watch import Watch

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(512, 8, generator=GENERATOR)
LABELS = (X[:, :3].argmax(1)).long()
NUMBERS = X[:, :2].sum(1) + 0.1 * X[:, 3]


def mlp(out: int = 3, *more: nn.Module, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), activation(), nn.Linear(32, out), *more)


def classes(output: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output, LABELS[place])


def numbers(output: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(output.squeeze(1), NUMBERS[place])


def fit(
    model: nn.Module,
    loss_of: Callable[[Any, Any], torch.Tensor] = classes,
    *,
    steps: int = 60,
    optimizer: torch.optim.Optimizer | None = None,
    inputs: torch.Tensor = X,
    size: int = 32,
    places: Callable[[int], torch.Tensor] | None = None,
    step: Callable[[Any, Any, int], None] | None = None,
) -> Watch:
    """Train by hand under a watch that keeps steps for trials."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    with Watch(trials=True) as watch:
        for number in range(steps):
            place = (
                torch.randperm(len(inputs), generator=generator)[:size] if places is None else places(number)
            )
            if step is not None:
                loss = loss_of(model(inputs[place]), place)
                step(optimizer, loss, number)
                continue
            optimizer.zero_grad()
            loss_of(model(inputs[place]), place).backward()
            optimizer.step()
    return watch
