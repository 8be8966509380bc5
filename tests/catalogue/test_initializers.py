"""Initial weights against the variance that each promises."""

from __future__ import annotations

import math

import pytest
import torch

from preceptor.catalogue import find, get
from preceptor.errors import ConfigError, ModelError

SHAPES = {"matrix": (600, 400), "convolution": (80, 50, 5, 5)}
FANS = {"matrix": (400, 600), "convolution": (50 * 25, 80 * 25)}
VARIANCES = {
    "he-normal": lambda fan_in, fan_out: 2 / fan_in,
    "he-uniform": lambda fan_in, fan_out: 2 / fan_in,
    "xavier-normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "xavier-uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "normal": lambda fan_in, fan_out: 0.01**2,
    "uniform": lambda fan_in, fan_out: 0.1**2 / 12,
    "zeros": lambda fan_in, fan_out: 0.0,
    "standard-normal": lambda fan_in, fan_out: 1.0,
    "lecun-normal": lambda fan_in, fan_out: 1 / fan_in,
    "lecun-uniform": lambda fan_in, fan_out: 1 / fan_in,
    "variance-scaling": lambda fan_in, fan_out: 2 / fan_in,
}
FIXED = {"constant", "identity", "relu-bias", "orthogonal"}


def test_every_initializer_has_a_variance():
    assert VARIANCES.keys() | FIXED == {e.name for e in find(kind="initializer")}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", VARIANCES)
def test_initializer_has_its_variance(name: str, shape: str):
    torch.manual_seed(0)
    w = get(name, torch.empty(SHAPES[shape]), kind="initializer").double()
    expected = VARIANCES[name](*FANS[shape])
    assert w.mean().abs() <= 4 * math.sqrt(expected / w.numel())
    assert w.var().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("name", "bound"), [("he-uniform", math.sqrt(6 / 400)), ("xavier-uniform", math.sqrt(6 / 1000))]
)
def test_uniform_weights_fill_their_range(name: str, bound: float):
    torch.manual_seed(1)
    w = get(name, torch.empty(SHAPES["matrix"]))
    assert 0.999 * bound < w.abs().max() <= bound


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (4, 3, 2, 2)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape: tuple[int, ...]):
    torch.manual_seed(2)
    w = get("orthogonal", torch.empty(shape, dtype=torch.float64), gain=2.0).flatten(1) / 2
    gram = w @ w.T if len(w) <= w.shape[1] else w.T @ w
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64), rtol=0, atol=1e-12)


def test_he_weights_keep_the_size_of_a_relu_signal_through_depth():
    torch.manual_seed(3)
    x = torch.randn(500, 300)
    for _ in range(10):
        x = (x @ get("he-normal", torch.empty(300, 300)).T).relu()
    assert 0.5 < x.square().mean() < 2.0


def test_options_reach_the_distribution():
    torch.manual_seed(4)
    out = get("he-normal", torch.empty(100, 4000), mode="fan_out")
    assert out.var().item() == pytest.approx(2 / 100, rel=0.02)
    assert get("normal", torch.empty(10_000), mean=3.0).mean().item() == pytest.approx(3.0, abs=1e-3)
    assert get("uniform", torch.empty(100), low=2.0, high=3.0).min() >= 2.0


def test_what_cannot_be_filled_is_said():
    for name in ("he-normal", "lecun-normal"):
        with pytest.raises(ModelError, match=r"at least 2 dimensions\n  received  shape \(3,\)"):
            get(name, torch.empty(3))
    with pytest.raises(ConfigError, match="mode"):
        get("he-uniform", torch.empty(3, 3), mode="fan")
    with pytest.raises(ConfigError, match="high"):
        get("uniform", torch.empty(3), low=1.0, high=0.0)
    with pytest.raises(ConfigError, match="std"):
        get("normal", torch.empty(3), std=-1)
