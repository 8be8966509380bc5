"""Batch normalisation and scaling: the printed form fails, the right one holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_batch_norm_epsilon():
    x = torch.full((8, 1), 3.0)
    printed = (x - x.mean(0)) / x.var(0, correction=0).sqrt()
    assert printed.isnan().all()
    assert nn.BatchNorm1d(1)(x).abs().max() < 1e-3


def test_batch_norm_momentum():
    x = 5 + 2 * torch.randn(64, 1)
    norm = nn.BatchNorm1d(1)
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(0))
    assert (norm.running_mean - 0.9 * x.mean(0)).abs() > 1
    assert not torch.allclose(norm.running_var, 0.9 + 0.1 * x.var(0, correction=0), rtol=1e-5)


def test_batch_norm_unit_gaussian():
    x = torch.where(torch.rand(4000, 1) < 0.5, -3.0, 3.0) + 0.1 * torch.randn(4000, 1)
    z = nn.BatchNorm1d(1)(x).detach()
    assert z.mean().abs() < 1e-5
    assert z.var().item() == pytest.approx(1.0, rel=1e-3)
    assert (z.abs() < 0.5).float().mean() < 0.01  # a Gaussian has 38 % there
    assert (z**4).mean() < 1.5  # a Gaussian has 3


def test_batch_norm_one_mean():
    x = torch.randn(16, 3, 5, 5) * torch.tensor([1.0, 10.0, 0.1])[:, None, None] + 4
    right = nn.BatchNorm2d(3)(x).detach()
    printed = (x - x.mean()) / x.std()
    spread = [z.std((0, 2, 3)) for z in (right, printed)]
    torch.testing.assert_close(spread[0], torch.ones(3), rtol=1e-2, atol=0)
    assert spread[1].max() > 10 * spread[1].min()
    assert nn.BatchNorm2d(3).running_mean.shape == (3,)


def test_batch_norm_test_statistics():
    norm, shift = nn.BatchNorm1d(1), torch.linspace(0, 10, 20)
    for s in shift:
        norm(s + torch.randn(256, 1))
    lagging = norm.running_mean.item()
    norm.reset_running_stats()
    norm.momentum = None  # a plain mean over what follows
    for _ in range(20):
        norm(shift[-1] + torch.randn(256, 1))
    assert norm.running_mean.item() == pytest.approx(10.0, abs=0.1)
    assert lagging < 8


def test_effective_rate():
    x, y, rate = torch.randn(60, 4, dtype=torch.float64), torch.randn(60, dtype=torch.float64), 1e-4

    def loss(w: torch.Tensor) -> torch.Tensor:
        z = x @ w
        return ((z - z.mean()) / z.std() - y).square().mean()

    w = 10 * torch.randn(4, dtype=torch.float64)
    size, unit = w.norm(), w / w.norm()
    slope = torch.func.grad(loss)
    torch.testing.assert_close(slope(w), slope(unit) / size)
    moved = w - rate * slope(w)
    direction = moved / moved.norm() - unit
    right, printed = -(rate / size**2) * slope(unit), -(rate / size) * slope(unit)
    assert (direction - right).norm() < 1e-3 * right.norm()
    assert (direction - printed).norm() > 0.5 * printed.norm()


def test_centring_and_independence():
    x = 5 + torch.randn(500, 3, dtype=torch.float64) @ (torch.eye(3, dtype=torch.float64) + 0.3)
    centred = x - x.mean(0)
    condition = [torch.linalg.cond(z.T @ z).item() for z in (x, centred)]
    assert condition[1] < condition[0]
    residual = torch.randn(500, 1, dtype=torch.float64)
    correlation = torch.corrcoef((residual * centred).T)
    assert correlation.triu(1).abs().max() > 0.1


def test_one_sided_updates():
    x = torch.rand(64, 5)
    layer = nn.Linear(5, 1)

    def signs(rows: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
        return (errors[:, None] * rows).mean(0).sign()

    errors = (layer(x)[:, 0] - torch.randn(64)).detach()
    for i in range(64):
        assert signs(x[i : i + 1], errors[i : i + 1]).unique().numel() == 1
    mixed = sum(
        signs(x[i], errors[i]).unique().numel() > 1
        for i in torch.randint(64, (200, 16), generator=torch.Generator().manual_seed(0))
    )
    assert mixed > 20
