"""Small trainings with data of any kind, watched, for the rules about data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import RULES
from preceptor.diagnosis.rules import (
    amounts,
    data,
    destruction,
    labels,
    order,
    pairing,
    preparation,
    scales,
    splits,
)
from preceptor.observation.watch import Watch

Data = tuple[Tensor, Tensor]

FAMILIES = {
    module.__name__
    for module in (amounts, data, destruction, labels, order, pairing, preparation, scales, splits)
}


def blobs(n: int = 240, *, features: int = 6, classes: int = 3, seed: int = 0, apart: float = 1.5) -> Data:
    """Clouds of points, one for each class, in an order of their own; of every seed from the same clouds."""
    generator = torch.Generator().manual_seed(seed)
    centres = apart * torch.randn(classes, features, generator=torch.Generator().manual_seed(99))
    y = torch.randint(classes, (n,), generator=generator)
    return centres[y] + torch.randn(n, features, generator=generator), y


def line(n: int = 240, *, features: int = 4, seed: int = 0, noise: float = 0.1) -> Data:
    """A linear function of standardised features."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=generator)
    weights = torch.linspace(1, -1, features)
    return x, (x @ weights + noise * torch.randn(n, generator=generator)).unsqueeze(1)


def mlp(inputs: int, outputs: int, width: int = 16) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


def run(
    train: Data,
    held_out: Data | None = None,
    *,
    loss: str | Callable[..., Tensor] = "cross_entropy",
    model: nn.Module | None = None,
    optimizer: Callable[[Iterable[Any]], Any] = lambda p: torch.optim.Adam(p, lr=0.01),
    epochs: int = 15,
    batch_size: int = 16,
    shuffle: bool = True,
    each_epoch: Callable[[int], Data] | None = None,
    evaluation_loss: bool = True,
    budget: float = 1.0,
    prepare: Callable[[Tensor], Tensor] = lambda x: x,
) -> Case:
    """Train and evaluate after each epoch, watched more closely than usual."""
    torch.manual_seed(0)
    x, y = train
    outputs = int(y.max()) + 1 if loss == "cross_entropy" else 1
    model = model or mlp(x.shape[1], outputs)
    with Watch(budget=budget) as watch:
        x = prepare(x)
        lose = getattr(functional, loss) if isinstance(loss, str) else loss
        made = optimizer(model.parameters())
        loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=shuffle)
        for epoch in range(epochs):
            if each_epoch is not None:
                loader = DataLoader(TensorDataset(*each_epoch(epoch)), batch_size=batch_size, shuffle=shuffle)
            model.train()
            for inputs, targets in loader:
                made.zero_grad()
                value = lose(model(inputs), targets)
                value.backward()
                made.step()
            model.eval()
            if held_out is not None:
                with torch.no_grad():
                    outputs_ = model(held_out[0])
                    if evaluation_loss:
                        lose(outputs_, held_out[1])
    return Case(watch.observed)


def found(case: Case) -> dict[str, Finding]:
    """What the rules about data say, by cause."""
    answers: dict[str, Finding] = {}
    for rule in RULES.values():
        if rule.find.__module__ in FAMILIES:
            for finding in rule.find(case):
                answers.setdefault(finding.cause, finding)
    return answers


def alarms(case: Case) -> set[str]:
    """Causes of what is more than information."""
    return {cause for cause, finding in found(case).items() if finding.severity != "info"}
