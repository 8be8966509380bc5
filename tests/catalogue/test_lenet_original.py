"""LeNet-5 as published: its connections, its table of maps, its pooling, its outputs and its start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.catalogue.layers.subsampling import CodeDistance, PartlyConnected, TrainablePooling


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return get("lenet-5-original", (1, 32, 32), 10)


def test_connections_are_those_of_the_paper(model: nn.Sequential):
    counted: dict[str, int] = {}

    def count(name: str):
        def hook(layer: nn.Module, _: object, output: torch.Tensor) -> None:
            positions = output[0, 0].numel() if output.ndim == 4 else 1
            weights = (
                sum(p.numel() for p in layer.parameters()) + getattr(layer, "codes", torch.empty(0)).numel()
            )
            pooled = isinstance(layer, TrainablePooling)  # one weight for the sum of four inputs
            counted[name] = positions * (weights // 2 * 5 if pooled else weights)

        return hook

    for name, layer in model.named_children():
        layer.register_forward_hook(count(name))
    model(torch.zeros(1, 1, 32, 32))
    found = [n for n in counted.values() if n]
    assert found == [122_304, 5_880, 151_600, 2_000, 48_120, 10_164, 840]
    assert sum(found) == 340_908


def test_parameters_by_layer_are_those_of_the_paper(model: nn.Sequential):
    counts = [sum(p.numel() for p in layer.parameters()) for layer in model]
    assert [n for n in counts if n] == [156, 12, 1_516, 32, 48_120, 10_164]


def test_the_second_convolution_sees_the_maps_of_the_table(model: nn.Sequential):
    table = [
        "012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125",
        "0134", "1245", "0235", "012345",
    ]  # fmt: skip
    layer = next(m for m in model if isinstance(m, PartlyConnected))
    for k, maps in enumerate(table):
        x = torch.zeros(1, 6, 5, 5, requires_grad=True)
        layer(x)[0, k].sum().backward()
        assert "".join(str(i) for i in range(6) if x.grad[0, i].abs().sum() > 0) == maps


def test_pooling_is_a_weighted_sum_with_a_bias():
    layer, x = TrainablePooling(2), torch.randn(3, 2, 4, 6)
    layer.weight.data, layer.bias.data = torch.tensor([0.5, -2.0]), torch.tensor([1.0, 0.0])
    windows = x.reshape(3, 2, 2, 2, 3, 2).sum((3, 5))
    expected = windows * torch.tensor([0.5, -2.0])[:, None, None] + torch.tensor([1.0, 0.0])[:, None, None]
    torch.testing.assert_close(layer(x), expected)


def test_outputs_are_distances_to_fixed_codes():
    layer, x = CodeDistance(84, 10), torch.randn(5, 84)
    torch.testing.assert_close(layer(x), -torch.cdist(x, layer.codes).square(), rtol=1e-4, atol=1e-4)
    assert set(layer.codes.flatten().tolist()) == {-1.0, 1.0}
    assert not list(layer.parameters())
    assert torch.equal(CodeDistance(84, 10).codes, layer.codes)
    apart = torch.cdist(layer.codes, layer.codes).square() / 4 + 84 * torch.eye(10)
    assert apart.min() > 25  # of 84 places: far enough to correct a dozen


def test_one_output_has_either_sign():
    layer, x = CodeDistance(84, 1), torch.randn(50, 84)
    code = layer.codes[0]
    expected = (x + code).square().sum(1) - (x - code).square().sum(1)
    torch.testing.assert_close(layer(x)[:, 0], expected, rtol=1e-4, atol=1e-3)
    assert {True, False} == set((layer(x) > 0).flatten().tolist())


def test_its_activation_keeps_plus_and_minus_one():
    f, x = get("scaled-tanh").double(), torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(f(torch.tensor([-1.0, 1.0])), torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)
    (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    assert x[bend.abs().argmax()].abs().item() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(get("scaled-tanh", scale=1.0, slope=1.0)(x), x.tanh())


def test_it_starts_as_published_unless_init_is_given(model: nn.Sequential):
    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 1 + 16 + 1 + 1
    for layer in layers:
        bound = 2.4 / layer.weight[0].numel()
        assert 0.6 * bound < layer.weight.abs().max() <= bound
    zero = get("lenet-5-original", (1, 32, 32), 10, init="zeros")
    assert all((m.weight == 0).all() for m in zero.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))


@pytest.mark.slow
def test_it_learns_to_tell_squares_from_stripes():
    torch.manual_seed(1)
    model = get("lenet-5-original", (1, 28, 28), 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    stripes = torch.zeros(1, 28, 28)
    stripes[:, ::4] = 1.0
    square = torch.zeros(1, 28, 28)
    square[:, 8:20, 8:20] = 1.0
    x, y = torch.stack([stripes, square]).repeat(8, 1, 1, 1), torch.tensor([0, 1]).repeat(8)
    x = x + 0.1 * torch.randn(x.shape)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).all()
