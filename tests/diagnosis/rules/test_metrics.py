"""Scores: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import preceptor
from preceptor.diagnosis.rules import metrics

from ._families import ALL
from ._judge import alarms, findings

X = torch.randn(96, 12, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


def run(score, outputs: int = 3, loss=functional.cross_entropy, y=Y):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, outputs))
    data = TensorDataset(X, y)
    train, held_out = DataLoader(data, batch_size=32), DataLoader(data, batch_size=20)
    with preceptor.watch(level="full") as watch:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            model.train()
            for x, y in train:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                score(model, held_out)
    return watch.observed


def each_with_all(model, loader):
    return sum((model(x).argmax(1, keepdim=True) == y).sum().item() for x, y in loader) / len(X)


def over_samples(model, loader):
    return [model(x).argmax(0) for x, _ in loader]


def over_batches(model, loader):
    right = 0
    for x, y in loader:
        right += (model(x).argmax(1) == y).sum().item()
    return right / len(loader)


@pytest.mark.parametrize("score", [each_with_all, over_samples, over_batches])
def test_scores_that_are_wrong(score) -> None:
    seen = run(score)
    for over in (True, False):
        told = findings(seen, *ALL, metrics, over=over)
        assert set(told) == {"metric-mistake"}
        assert told["metric-mistake"].where.startswith("test_metrics.py:")


def over_all(model, loader):
    right = 0
    for x, y in loader:
        right += (model(x).argmax(1) == y).sum().item()
    return right / len(loader.dataset)


def mean_of_means(model, loader):
    total = 0.0
    for x, y in loader:
        total += (model(x).argmax(1) == y).float().mean().item()
    return total / len(loader)


def mean_loss(model, loader):
    total = 0.0
    for x, y in loader:
        total += functional.cross_entropy(model(x), y).item()
    return total / len(loader)


def largest_two(model, loader):
    return [(model(x).topk(2, dim=1).indices == y[:, None]).any(1).sum() for x, y in loader]


def nearest(model, loader):
    outputs = torch.cat([model(x) for x, _ in loader])
    return (outputs[:, None] - outputs).norm(dim=2).argmin(0)


@pytest.mark.parametrize("score", [over_all, mean_of_means, mean_loss, largest_two, nearest])
def test_scores_that_are_right(score) -> None:
    assert alarms(run(score), *ALL, metrics) == set()


def test_thresholds() -> None:
    y = (Y > 0).float()

    def loss(out, y):
        return functional.binary_cross_entropy_with_logits(out.squeeze(1), y)

    def wrong(model, loader):
        return sum(((model(x) > 0) == y.bool()).sum() for x, y in loader)

    def right(model, loader):
        return sum(((model(x).squeeze(1) > 0) == y.bool()).sum() for x, y in loader)

    assert alarms(run(wrong, 1, loss, y), *ALL, metrics) == {"metric-mistake"}
    assert alarms(run(right, 1, loss, y), *ALL, metrics) == set()
