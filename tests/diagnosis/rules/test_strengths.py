"""Regularisation: planted excess, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import preceptor
from preceptor.diagnosis.rules import strengths

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(256, 12, generator=torch.Generator().manual_seed(0))
Y = (X[:, :3].sum(1) > 0).long()


def mlp(*dropped, width: int = 32, behind: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    layers, n = [], 12
    for rate in dropped or (0.0,):
        layers += [nn.Linear(n, width), nn.ReLU(), *([nn.Dropout(rate)] if rate else [])]
        n = width
    return nn.Sequential(*layers, nn.Linear(n, 2), *([nn.Dropout(behind)] if behind else []))


def fit(model, *, steps: int = 60, batch: int = 32, x=X, build=None, lr: float = 0.01):
    torch.manual_seed(1)
    with preceptor.watch(level="full") as watch:
        optimizer = (build or torch.optim.Adam)(model.parameters(), lr=lr)
        for _ in range(steps):
            rows = torch.randint(len(x), (batch,))
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), Y[rows]).backward()
            optimizer.step()
    return watch.observed


# ---------------------------------------------------------------------- dropout


def test_dropout_on_the_output() -> None:
    told = findings(fit(mlp(0.1, behind=0.3)), *ALL)
    assert set(told) == {"dropout-too-strong"}
    assert told["dropout-too-strong"].exact
    assert alarms(fit(mlp(behind=0.3), steps=2), *ALL, over=False) == {"dropout-too-strong"}


def test_dropout_on_a_few_units() -> None:
    told = findings(fit(mlp(0.5, 0.5, width=3)), *ALL)
    assert set(told) == {"dropout-too-strong"}
    assert "3 units" in told["dropout-too-strong"].title


def test_dropout_of_nearly_everything() -> None:
    told = findings(fit(mlp(0.95, 0.95, width=64)), *ALL)
    assert set(told) == {"dropout-too-strong"}
    assert not told["dropout-too-strong"].exact


@pytest.mark.parametrize("rates", [(0.2,), (0.5, 0.5), (0.1, 0.3)])
def test_usual_dropout(rates) -> None:
    assert alarms(fit(mlp(*rates)), *ALL) == set()


def test_strong_dropout_on_a_net_that_learns() -> None:
    assert alarms(fit(mlp(0.75, width=512), steps=150), strengths) == set()


def test_dropout_beside_a_branch_that_goes_around_it() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.drop, self.head = nn.Linear(12, 12), nn.Dropout(0.5), nn.Linear(12, 2)

        def forward(self, x):
            return self.head(x + self.drop(self.first(x).relu()))

    assert alarms(fit(Residual()), *ALL) == set()


# ---------------------------------------------------------------------- batch normalisation


def normalised() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


def images() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(96, 2),
    )  # fmt: skip


@pytest.mark.parametrize(("model", "batch"), [(normalised, 2), (normalised, 4), (images, 1), (images, 2)])
def test_statistics_of_very_few_samples(model, batch) -> None:
    assert alarms(fit(model(), batch=batch), strengths) == {"batch-norm-small-batch"}
    assert alarms(fit(model(), batch=batch, steps=3), strengths, over=False) == {"batch-norm-small-batch"}


@pytest.mark.parametrize(("model", "batch"), [(normalised, 16), (images, 16), (images, 8)])
def test_statistics_of_enough_samples(model, batch) -> None:
    assert findings(fit(model(), batch=batch), *ALL) == {}


def test_four_images_are_only_told() -> None:
    told = findings(fit(images(), batch=4), *ALL)
    assert {cause: finding.severity for cause, finding in told.items()} == {"batch-norm-small-batch": "info"}


def test_a_short_last_batch() -> None:
    torch.manual_seed(1)
    model = normalised()
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(4):
            for rows in torch.randperm(66).split(32):
                optimizer.zero_grad()
                functional.cross_entropy(model(X[rows]), Y[rows]).backward()
                optimizer.step()
    assert alarms(watch.observed, *ALL) == set()


def test_held_statistics_need_no_batch() -> None:
    model = normalised()
    model[1].eval()
    assert alarms(fit(model, batch=2), strengths) == set()


# ---------------------------------------------------------------------- weight decay


def decayed(kind, decay):
    return lambda parameters, lr: kind(parameters, lr=lr, weight_decay=decay)


@pytest.mark.parametrize(
    ("kind", "decay", "lr"),
    [(torch.optim.Adam, 1.0, 0.02), (torch.optim.SGD, 0.5, 0.1), (torch.optim.AdamW, 20.0, 0.01)],
)
def test_decay_that_outweighs_the_loss(kind, decay, lr) -> None:
    told = findings(fit(mlp(), build=decayed(kind, decay), steps=150, lr=lr), *ALL)
    assert set(told) == {"weight-decay-too-strong"}


@pytest.mark.parametrize(
    ("kind", "decay", "lr"),
    [(torch.optim.Adam, 1e-4, 0.01), (torch.optim.SGD, 5e-3, 0.1), (torch.optim.AdamW, 0.1, 0.01)],
)
def test_usual_decay(kind, decay, lr) -> None:
    assert alarms(fit(mlp(), build=decayed(kind, decay), steps=150, lr=lr), *ALL) == set()


def test_decay_is_not_to_blame_for_units_that_have_died() -> None:
    model = mlp()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    seen = fit(model, build=decayed(torch.optim.SGD, 0.05), steps=150, lr=0.1)
    assert alarms(seen, strengths) == set()
