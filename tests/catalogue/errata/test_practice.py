"""Data, worked examples, evaluation: the printed form fails, the right one holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor.catalogue import get


def test_pca_as_clustering():
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    x = np.random.default_rng(0).normal(size=(100, 5))
    coordinates = PCA(2).fit_transform(x)
    groups = KMeans(2, n_init=1, random_state=0).fit_predict(x)
    assert len(np.unique(coordinates[:, 0])) == 100
    assert len(np.unique(groups)) == 2


def test_xor_hidden_units():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    table = {"first": (x[:, 0] - x[:, 1]).relu(), "second": (x[:, 1] - x[:, 0]).relu()}
    assert (table["first"] + table["second"]).tolist() == [0, 1, 1, 0]
    assert get("xor-network")(x).flatten().tolist() == [0, 1, 1, 0]
    assert (x[:, 0] + table["second"]).tolist() != [0, 1, 1, 0]  # a column read as its neighbour


def separable(first: np.ndarray, second: np.ndarray) -> bool:
    labels = torch.tensor([1] * len(first) + [0] * len(second))
    return bool(
        get("linear-separability", torch.tensor(np.concatenate([first, second])), labels)["separable"]
    )


def test_shifted_patterns():
    one, other = np.zeros(16), np.zeros(16)
    one[[0, 1, 2, 3]], other[[0, 2, 5, 9]] = 1, 1
    shifts = [np.stack([np.roll(p, k) for k in range(16)]) for p in (one, other)]
    assert shifts[0].mean(0) == pytest.approx(np.full(16, 0.25))
    assert shifts[1].mean(0) == pytest.approx(np.full(16, 0.25))
    assert not separable(*shifts)
    assert separable(shifts[0][:1], shifts[1][:1])


def test_split_shares():
    for shares in ((60, 20, 20), (80, 10, 10)):
        assert sum(shares) == 100
        edges = np.cumsum(shares)
        parts = np.split(np.arange(100), edges[:-1])
        assert [len(p) for p in parts] == list(shares)
        assert len(np.unique(np.concatenate(parts))) == 100


def test_underfitting_still_falling():
    x = torch.linspace(-1, 1, 80)[:, None]
    y = x**2

    def losses(model: torch.nn.Module, steps: int) -> list[float]:
        optimizer, found = get("sgd", model.parameters(), lr=0.1), []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = get("mse", kind="loss")(model(x), y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    torch.manual_seed(0)
    too_small = losses(get("linear", (1,), 1, kind="architecture"), 400)
    too_short = losses(get("mlp", (1,), 1, hidden=32, activation="tanh"), 60)
    assert too_small[-1] == pytest.approx(too_small[-50], rel=1e-3)
    assert too_small[-1] > 0.05
    assert too_short[-1] < 0.98 * too_short[-20]


def test_unbiased_step_sizes():
    def end(start: float, rates: list[float], *, convex: bool) -> float:
        w = start
        for rate in rates:
            w -= rate * (2 * w if convex else 4 * w * (w * w - 1) + 0.5)
        return w

    rates = [0.1 / (1 + 0.1 * n) for n in range(3000)]
    assert end(2.0, rates, convex=True) == pytest.approx(end(-2.0, rates, convex=True), abs=1e-3)
    assert end(1.5, rates, convex=False) > 0.5
    assert end(-1.5, rates, convex=False) < -0.5
    assert end(2.0, [0.0] * 3000, convex=True) == 2.0
