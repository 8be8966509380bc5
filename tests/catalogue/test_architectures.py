"""Networks by name: their sizes, parameters, options and refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, ModelError, UnknownName


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options", "expected"),
    [
        ("mlp", (64,), 10, {}, 9610),
        ("mlp", (1, 8, 8), 10, {}, 9610),
        ("mlp", (784,), 10, {"hidden": [256, 128]}, 784 * 256 + 256 + 256 * 128 + 128 + 1290),
        ("mlp", (32,), 4, {"hidden": 64}, 32 * 64 + 64 + 260),
        ("mlp", (32,), 4, {"hidden": ()}, 132),
        ("linear", (64,), 10, {}, 650),
        ("linear", (3, 2, 2), 1, {"bias": False}, 12),
        ("lenet-5", (1, 28, 28), 10, {}, 61706),
        ("lenet-5", (1, 32, 32), 10, {}, 61706),
        ("lenet-5", (1, 31, 31), 10, {}, 61706),
        ("lenet-5", (3, 32, 32), 10, {}, 61706 + 2 * 6 * 25),
        ("lenet-5", (1, 64, 48), 10, {}, 61706 + 16 * (13 * 9 - 25) * 120),
        ("lenet-5", (1, 28, 28), 2, {}, 61706 - 8 * 85),
    ],
)
def test_parameters_are_counted_right(
    name: str, inputs: tuple[int, ...], outputs: int, options: dict[str, object], expected: int
):
    model = get(name, inputs, outputs, kind="architecture", **options)
    assert parameters(model) == expected
    assert model(torch.zeros(2, *inputs)).shape == (2, outputs)


@pytest.mark.parametrize("inputs", [(1, 28, 28), (1, 29, 31), (2, 40, 28), (1, 33, 100)])
def test_lenet_5_adapts_to_the_image(inputs: tuple[int, ...]):
    assert get("lenet-5", inputs, 3)(torch.zeros(2, *inputs)).shape == (2, 3)


@pytest.mark.parametrize("inputs", [(1, 27, 28), (1, 8, 8), (28, 28), (784,)])
def test_lenet_5_refuses_what_is_no_image_of_enough_size(inputs: tuple[int, ...]):
    with pytest.raises(ModelError, match="H and W of at least 28") as caught:
        get("lenet-5", inputs, 10)
    assert str(inputs) in str(caught.value)
    assert "mlp" in str(caught.value)


def test_lenet_5_of_1998_is_nearest_with_tanh_and_average_pooling():
    model = get("lenet-5", (1, 28, 28), 10, activation="tanh", pooling="average")
    assert sum(isinstance(m, nn.Tanh) for m in model) == 4
    assert sum(isinstance(m, nn.AvgPool2d) for m in model) == 2
    with pytest.raises(ConfigError, match="'max' or 'average'"):
        get("lenet-5", (1, 28, 28), 10, pooling="mean")


def test_sizes_tell_the_widths():
    assert get("mlp", (64,), 10).sizes == (64, 128, 10)
    assert get("mlp", (1, 8, 8), 10, hidden=[32, 16]).sizes == (64, 32, 16, 10)
    assert get("linear", (4,), 3, kind="architecture").sizes == (4, 3)


@pytest.mark.parametrize("hidden", [0, -1, 2.5, "128", [64, 0], [64, "32"], True, None, [[3]], {"a": 1}])
def test_hidden_must_be_widths(hidden: object):
    with pytest.raises(ConfigError, match="mlp: hidden is not usable"):
        get("mlp", (4,), 2, hidden=hidden)


@pytest.mark.parametrize("dropout", [-0.1, 1.1, "half", None])
def test_dropout_must_be_a_share(dropout: object):
    with pytest.raises(ConfigError, match="mlp: dropout is not usable"):
        get("mlp", (4,), 2, dropout=dropout)


def test_dropout_follows_every_activation_and_is_absent_at_zero():
    model = get("mlp", (4,), 2, hidden=[8, 8], dropout=0.5)
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert not any(isinstance(m, nn.Dropout) for m in get("mlp", (4,), 2))


def test_activation_may_be_a_name_a_module_or_a_callable():
    for activation in ("elu", nn.ELU(), nn.ELU, lambda: nn.ELU()):
        model = get("mlp", (4,), 2, hidden=[8, 8], activation=activation)
        assert sum(isinstance(m, nn.ELU) for m in model) == 2
    shared = get("mlp", (4,), 2, hidden=[8, 8], activation=nn.PReLU())
    assert parameters(shared) == 4 * 8 + 8 + 8 * 8 + 8 + 18 + 2
    with pytest.raises(UnknownName):
        get("mlp", (4,), 2, activation="reluu")


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet-5"])
def test_init_fills_weights_by_name_or_function_and_biases_with_zero(name: str):
    for init, value in (("zeros", 0.0), (lambda w: w.fill_(0.5), 0.5)):
        model = get(name, (1, 28, 28), 3, kind="architecture", init=init)
        for layer in model:
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                assert (layer.weight == value).all()
                assert (layer.bias == 0).all()
    with pytest.raises(UnknownName):
        get(name, (1, 28, 28), 3, kind="architecture", init="her")
    with pytest.raises(ConfigError, match="init is not usable"):
        get(name, (1, 28, 28), 3, kind="architecture", init=3)


def test_without_init_the_weights_are_torch_s_own():
    torch.manual_seed(0)
    model = get("mlp", (4,), 2, hidden=8)
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    for a, b in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("inputs", "outputs"), [((0,), 2), ((4,), 0), ((4.0,), 2), ((4,), True)])
def test_sizes_must_be_positive_integers(inputs: tuple[object, ...], outputs: object):
    with pytest.raises(ModelError, match="all positive integers"):
        get("mlp", inputs, outputs)
