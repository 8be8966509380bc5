"""Penalties, dropout, ensembles: the printed form fails, the right one holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from preceptor.catalogue import get

RATE, STRENGTH = 0.01, 0.5


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_l1_step():
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = get("sgd", [w], lr=RATE)
    (STRENGTH * w.abs().sum()).backward()
    before = w.detach().clone()
    optimizer.step()
    torch.testing.assert_close(before - w.detach(), RATE * STRENGTH * before.sign())
    assert ((before - w.detach()).abs() - STRENGTH).abs().max() > 0.4


def test_l1_printed_as_l2():
    x = torch.randn(80, 20, dtype=torch.float64)
    y = x[:, :3] @ torch.tensor([2.0, -1.0, 1.0], dtype=torch.float64) + 0.1 * torch.randn(
        80, dtype=torch.float64
    )

    def fit(theta: torch.Tensor) -> torch.Tensor:
        return -(y - x @ theta).square().sum() / 2

    zeros = {
        prior: int((get("map", fit, torch.zeros(20), prior=prior, precision=5.0) == 0).sum())
        for prior in ("laplace", "gaussian")
    }
    assert zeros["laplace"] >= 10
    assert zeros["gaussian"] == 0


def test_decay_by_penalty_value():
    w, decay = torch.tensor([-1.0, 1.0]), 0.1
    printed = w - decay * w.square().sum()
    torch.testing.assert_close(printed, torch.tensor([-1.2, 0.8]))
    layer = nn.Linear(2, 1)
    layer.weight.data = w[None].clone()
    get("weight-decay", kind="regularizer", strength=2 * decay).attach(layer).before_step(lr=1.0)
    right = layer.weight.detach()[0]
    torch.testing.assert_close(right, w - decay * 2 * w)
    assert (right.abs() < w.abs()).all()
    assert not (printed.abs() < w.abs()).all()


def test_penalty_half():
    for factor, shrink in ((0.5, 1 - RATE * STRENGTH), (1.0, 1 - 2 * RATE * STRENGTH)):
        w = torch.tensor([3.0], requires_grad=True)
        (STRENGTH * factor * w.square().sum()).backward()
        get("sgd", [w], lr=RATE).step()
        assert w.item() == pytest.approx(3.0 * shrink)
    decayed = torch.tensor([3.0], requires_grad=True)
    decayed.grad = torch.zeros(1)
    get("sgd", [decayed], lr=RATE, weight_decay=STRENGTH).step()
    assert decayed.item() == pytest.approx(3.0 * (1 - RATE * STRENGTH))


def test_penalty_on_biases():
    y = torch.full((50,), 10.0)
    b_all = float(y.sum() / (50 + 25.0))
    assert abs(b_all - 10.0) > 3
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.bias.fill_(10.0)
    without = get("reg-obj", torch.tensor(0.0), [layer.weight], alpha=1.0).penalty
    torch.testing.assert_close(
        get("reg-obj", torch.tensor(0.0), layer.parameters(), alpha=1.0).penalty, without
    )


def _scales(p: float, ratio: float) -> None:
    x = torch.ones(200_000)
    trained = (x * (torch.rand_like(x) > p)).mean().item()
    assert trained == pytest.approx(1 - p, abs=0.01)
    assert p / (1 - p) == pytest.approx(ratio)


def test_dropout_test_scale():
    _scales(0.2, 0.25)
    _scales(0.5, 1.0)
    dropout = nn.Dropout(0.2)
    assert dropout(torch.ones(200_000)).mean().item() == pytest.approx(1.0, abs=0.01)


def test_dropout_halving():
    kept = 0.8
    assert get("classic-dropout", p=0.2).eval()(torch.ones(1)).item() == pytest.approx(kept)
    assert 0.5 / kept == 0.625
    assert 0.5 / 0.5 == 1.0


def test_l2_makes_weights_similar():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    twin, other = rng.normal(size=(2, 400))
    x = np.stack([twin, twin, other], 1)
    w = Ridge(alpha=1.0, fit_intercept=False).fit(x, 2 * twin + 7 * other).coef_
    assert w[0] == pytest.approx(w[1])
    assert w[0] == pytest.approx(1.0, rel=0.01)
    assert w[2] == pytest.approx(7.0, rel=0.02)


def _errors(k: int, correlation: float, bias: float = 0.0) -> float:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, k))
    errors = bias + np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return float(np.square(errors.mean(1)).mean())


def test_ensemble_error_linear():
    for k in (1, 2, 10):
        assert _errors(k, 0.0) == pytest.approx(1 / k, rel=0.05)
    assert _errors(10, 0.0, bias=1.0) == pytest.approx(1.1, rel=0.05)
    assert abs(_errors(4, 0.0) - (1 - 3 / 10)) > 0.3  # a straight line from k = 1 down to 0 at k = 11


@pytest.mark.parametrize(("correlation", "expected"), [(0.0, 0.1), (0.5, 0.55), (1.0, 1.0)])
def test_ensemble_correlation(correlation: float, expected: float):
    assert get("ensemble-error", 10, correlation=correlation) == pytest.approx(expected)
    assert _errors(10, correlation) == pytest.approx(expected, rel=0.05)


def test_smallest_singular_value():
    flat = torch.linalg.svdvals(torch.cat([torch.eye(20), torch.zeros(1, 20)]) * 1.0)
    one_small = flat.clone()
    one_small[-1] = 1e-6

    def rank(values: torch.Tensor) -> int:
        """Return how many are needed for 99 % of the energy."""
        share = values.square().cumsum(0) / values.square().sum()
        return int((share < 0.99).sum()) + 1

    trailing = torch.logspace(0, -6, 20)
    assert rank(one_small) >= 19
    assert rank(trailing) <= 4
    assert one_small.min() == trailing.min()


def test_mask_once():
    mask = torch.tril(torch.ones(4, 4))
    layer = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        layer.weight.mul_(mask)
    x, y = torch.randn(30, 4), torch.randn(30, 4)
    nn.functional.mse_loss(layer(x), y).backward()
    get("momentum", layer.parameters(), lr=0.1).step()
    assert (layer.weight * (1 - mask)).abs().max() > 0
    with torch.no_grad():
        layer.weight.mul_(mask)
    assert (layer.weight * (1 - mask)).abs().max() == 0
