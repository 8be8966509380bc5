"""Initialisation: the printed form fails, the right one holds."""

from __future__ import annotations

import math

import pytest
import torch

from preceptor.catalogue import get


def weights(name: str, *shape: int, **options) -> torch.Tensor:
    torch.manual_seed(0)
    return get(name, torch.empty(*shape, dtype=torch.float64), kind="initializer", **options)


def test_glorot_bound():
    m, n = 500, 300
    right, bound = weights("glorot-uniform", n, m), 6 / math.sqrt(m + n)
    printed = weights("uniform", n, m, low=-bound, high=bound)
    assert right.var().item() == pytest.approx(2 / (m + n), rel=0.02)
    assert printed.var().item() == pytest.approx(6 * 2 / (m + n), rel=0.02)
    x = {key: torch.randn(200, 500, dtype=torch.float64) for key in ("right", "printed")}
    for layer in range(10):
        torch.manual_seed(layer)
        for key, b in (("right", math.sqrt(6 / 1000)), ("printed", 6 / math.sqrt(1000))):
            x[key] = (x[key] @ torch.empty(500, 500, dtype=torch.float64).uniform_(-b, b)).relu()
    assert x["right"].std() < 0.05
    assert x["printed"].std() > 100


def test_xavier_name():
    right, printed = weights("xavier-normal", 200, 800), weights("lecun-normal", 200, 800)
    assert right.var().item() == pytest.approx(2 / 1000, rel=0.02)
    assert printed.var().item() == pytest.approx(1 / 800, rel=0.02)
    assert weights("xavier-normal", 300, 300).var().item() == pytest.approx(1 / 300, rel=0.02)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_zero_weights(activation: str):
    gradients = {}
    for init in ("zeros", "constant"):
        torch.manual_seed(0)
        model = get("mlp", (5,), 3, hidden=6, activation=activation, init=init)
        get("ce")(model(torch.rand(30, 5)), torch.randint(3, (30,))).backward()
        gradients[init] = [p.grad for p in model.parameters()]
    assert [bool(g.any()) for g in gradients["zeros"]] == [False, False, False, True]
    hidden = gradients["constant"][0]
    assert hidden.any()
    torch.testing.assert_close(hidden, hidden[0].expand_as(hidden))


def test_small_weights_output():
    x, spread = torch.randn(100, 500, dtype=torch.float64), []
    for layer in range(10):
        torch.manual_seed(layer)
        x = (x @ get("normal", torch.empty(500, 500, dtype=torch.float64)).T).tanh()
        spread.append(x.std().item())
    assert spread[0] > 0.1
    assert 1e-7 < spread[-1] < 1e-6
    factors = torch.tensor(spread[2:]) / torch.tensor(spread[1:-1])
    assert factors.std() < 0.1 * factors.mean()


def test_variance_of_what():
    wide, narrow = 800, 100
    torch.manual_seed(7)
    x = torch.randn(500, wide, dtype=torch.float64)
    spread = {
        "equal weights": [
            (x[:, :k] @ torch.randn(k, 50, dtype=torch.float64) * 0.05).var() for k in (wide, narrow)
        ],
        "equal activations": [(x[:, :k] @ weights("lecun-normal", 50, k).T).var() for k in (wide, narrow)],
    }
    assert spread["equal weights"][0] > 4 * spread["equal weights"][1]
    torch.testing.assert_close(*spread["equal activations"], rtol=0.2, atol=0)


def test_relu_bias_value():
    torch.manual_seed(0)
    z = torch.randn(10_000, dtype=torch.float64)
    share = {b: ((z + b) > 0).double().mean().item() for b in (0.0, 0.01, 0.1)}
    assert share[0.0] <= share[0.01] < share[0.1]
    assert share[0.1] - share[0.0] < 0.06
    assert get("relu-bias", torch.empty(1), value=0.01).item() == pytest.approx(0.01)
