"""Every activation against its formula, and the ways to say which one is meant."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.catalogue import find, get
from preceptor.catalogue.activations import make_activation
from preceptor.errors import ConfigError, UnknownName

FORMULAS = {
    "relu": lambda x: max(0.0, x),
    "leaky-relu": lambda x: max(0.01 * x, x),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": lambda x: 2 / (1 + math.exp(-2 * x)) - 1,
    "scaled-tanh": lambda x: 1.7159 * math.tanh(2 * x / 3),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "identity": lambda x: x,
    "generalized-rectifier": lambda x: max(0.0, x),
    "absolute-value": abs,
    "prelu": lambda x: max(0.0, x) + 0.25 * min(0.0, x),
    "heaviside": lambda x: float(x >= 0),
}


def test_every_activation_has_a_formula():
    assert {*FORMULAS, "maxout"} == {e.name for e in find(kind="activation")}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_equals_its_formula(name: str):
    points = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](x) for x in points.tolist()], dtype=torch.float64)
    unit = get(name, kind="activation").double()
    torch.testing.assert_close(unit(points), expected, rtol=1e-12, atol=1e-12)


def test_relu_has_gradient_zero_at_zero():
    x = torch.zeros(1, requires_grad=True)
    get("relu")(x).backward()
    assert x.grad.item() == 0.0


def test_options_reach_the_function():
    x = torch.tensor([-1.0], dtype=torch.float64)
    assert get("leaky-relu", negative_slope=0.3)(x).item() == pytest.approx(-0.3)
    assert get("elu", alpha=2.0)(x).item() == pytest.approx(2 * (math.exp(-1) - 1))
    assert get("softplus", beta=2.0)(x).item() == pytest.approx(math.log1p(math.exp(-2)) / 2)
    tanh_form = get("gelu", approximate="tanh")(x).item()
    assert 0 < abs(tanh_form - get("gelu")(x).item()) < 5e-4


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("gelu", "approximate", "exact"),
        ("elu", "alpha", "1"),
        ("softplus", "beta", 0),
        ("elu", "alpha", True),
    ],
)
def test_unusable_option_is_named_with_what_was_expected(name: str, option: str, value: object):
    with pytest.raises(
        ConfigError, match=f"{name}: {option} is not usable\n  expected .*\n  received  {option}="
    ):
        get(name, **{option: value})


def test_a_name_a_module_and_a_callable_all_make_an_activation():
    own = nn.PReLU()
    assert isinstance(make_activation("swish"), nn.SiLU)
    assert isinstance(make_activation(nn.Tanh), nn.Tanh)
    assert make_activation(lambda: nn.LeakyReLU(0.2)).negative_slope == 0.2
    copied = make_activation(own)
    assert isinstance(copied, nn.PReLU)
    assert copied.weight is not own.weight


def test_what_makes_no_activation_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'relu'"):
        make_activation("rellu")
    for wrong in (torch.relu, 3, None, list):
        with pytest.raises(ConfigError, match="activation is not usable"):
            make_activation(wrong)
