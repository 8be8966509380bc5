"""Sizes, counts, receptive fields and errors of ensembles, against what networks really have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (224, {"kernel": 11, "padding": 2, "stride": 4}, 55),
        (227, {"kernel": 11, "stride": 4}, 55),
        (32, {"kernel": 5}, 28),
        (7, {"kernel": 3, "stride": 2}, 3),
        (8, {"kernel": 3, "stride": 2}, 3),
        (9, {"kernel": 3, "dilation": 2, "padding": 1}, 7),
    ],
)
def test_output_size(size: int, options: dict[str, int], expected: int):
    assert get("output-size", size, **options) == expected
    names = {"kernel": "kernel_size"}
    conv = nn.Conv2d(1, 1, **{names.get(k, k): v for k, v in options.items()})
    assert conv(torch.zeros(1, 1, size, size)).shape[-1] == expected


def test_without_the_floor_sizes_are_not_whole():
    assert (224 + 2 * 2 - 11) / 4 + 1 == 55.25


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="does not fit"):
        get("output-size", 4, kernel=5)


def test_convolution_parameters():
    assert get("convolution-parameters", 3, 96, kernel=11) == 34_944
    for options in ({"kernel": 5}, {"kernel": 3, "groups": 2}, {"kernel": 3, "bias": False}):
        layer = get("convolution", 4, 6, **options)
        count = sum(p.numel() for p in layer.parameters())
        assert get("convolution-parameters", 4, 6, **options) == count


@pytest.mark.parametrize(
    ("activation", "more", "pieces"), [("relu", 0, 1), ("prelu", 2, 1), ("maxout", 0, 2)]
)
def test_mlp_parameters(activation: str, more: int, pieces: int):
    model = get("mlp", (7,), 3, hidden=[5, 4], activation=activation)
    expected = sum(p.numel() for p in model.parameters())
    assert get("mlp-parameters", (7, 5, 4, 3), activation_parameters=more, pieces=pieces) == expected


def test_fully_connected_and_convolution_of_one_size():
    conv = get("layer-size", 32, 32, 3, 16, kernel=5)
    full = get("layer-size", 32, 32, 3, 16, form="fully-connected")
    assert (conv.weights, full.weights) == (1200, 50_331_648)
    assert conv.units == full.units == 16_384
    assert conv.connections == 1024 * 1200
    assert conv.multiply_adds == 3 * conv.connections


def test_lenet_5_has_340_908_connections():
    convolutions = [(28, 1, 6, None), (10, 6, 16, 60)]
    total = sum(
        get("layer-size", s, s, i, o, kernel=5, bias=True, pairs=pairs).connections
        for s, i, o, pairs in convolutions
    )
    total += sum(s * s * maps * 5 for s, maps in ((14, 6), (5, 16)))  # four inputs and a bias each
    total += sum(get("mlp-parameters", sizes) for sizes in ((400, 120), (120, 84))) + 840
    assert total == 340_908


@pytest.mark.parametrize(
    ("layers", "size", "jump"),
    [
        ([(3,)] * 3, 7, 1),
        ([(3, 1), (2, 2), (3, 1)], 8, 2),
        ([(2, 1, 2**i) for i in range(10)], 1024, 1),
        ([(2,)] * 10, 11, 1),
    ],
)
def test_receptive_field(layers: list[tuple[int, ...]], size: int, jump: int):
    assert get("receptive-field", layers)[:2] == (size, jump)


@pytest.mark.parametrize(
    "layers", [[(3, 2, 1), (3, 1, 2), (2, 2, 1)], [(3, 1, 2)] * 3, [(3, 1, 1), (3, 1, 2)]]
)
def test_receptive_field_is_where_the_gradient_is(layers: list[tuple[int, int, int]]):
    found = get("receptive-field", layers)
    net = nn.Sequential(*[nn.Conv1d(1, 1, k, stride=s, dilation=d) for k, s, d in layers])
    for p in net.parameters():
        nn.init.ones_(p)
    x = torch.ones(1, 1, 40, requires_grad=True)
    net(x)[0, 0, 0].backward()
    seen = x.grad[0, 0].nonzero().flatten()
    assert seen.max() + 1 == found.size
    assert 1 - len(seen) / found.size == pytest.approx(found.unused)


def test_constant_dilation_leaves_holes():
    assert get("gridding", [(3, 1, 2)] * 3).unused == pytest.approx(6 / 13)
    assert get("gridding", [(3, 1, 1), (3, 1, 2), (3, 1, 4)]).unused == 0
    with pytest.raises(ConfigError, match="a layer is not usable"):
        get("receptive-field", [()])


def test_a_regularizer_lowers_the_loss_on_other_examples():
    """Polynomials through few points: the penalty costs training loss, and gains more elsewhere."""
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None] ** torch.arange(12)
    y = (3 * x[:, 1]).sin() + 0.2 * torch.randn(60, generator=generator, dtype=torch.float64)
    train, other = torch.arange(0, 60, 4), torch.arange(2, 60, 4)

    def losses(strength: float) -> tuple[float, float]:
        a = x[train].T @ x[train] + strength * torch.eye(12, dtype=torch.float64)
        w = torch.linalg.solve(a, x[train].T @ y[train])
        return tuple(float((x[rows] @ w - y[rows]).square().mean()) for rows in (train, other))

    effect = get("regularization-effect", *losses(0.0), *losses(0.01))
    assert effect.regularizes
    assert effect.training > 0 > effect.validation
    assert not get("regularization-effect", *losses(0.01), *losses(1e4)).regularizes


def test_ridge_path_is_the_formula_s():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(30, generator=generator, dtype=torch.float64)
    hessian, optimum = x.T @ x, torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    for strength in (0.0, 0.1, 10.0):
        ridge = torch.linalg.solve(hessian + strength * torch.eye(4, dtype=torch.float64), x.T @ y)
        torch.testing.assert_close(
            get("ridge-shift", hessian, optimum, strength=strength), ridge, atol=1e-10, rtol=0
        )


@pytest.mark.parametrize(("correlation", "expected"), [(0.0, 0.1), (0.5, 0.55), (1.0, 1.0)])
def test_ensemble_error_is_what_averages_have(correlation: float, expected: float):
    assert get("ensemble-error", 10, correlation=correlation) == pytest.approx(expected)
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(20_000, 1, generator=generator)
    own = torch.randn(20_000, 10, generator=generator)
    members = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
    assert members.mean(1).square().mean().item() == pytest.approx(expected, rel=0.03)
    found = get("error-correlation", members.T)
    assert found[0, 1].item() == pytest.approx(correlation, abs=0.03)
