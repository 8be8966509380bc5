"""Convolution and architectures: the printed form fails, the right one holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d
from torch import nn
from torch.nn import functional

from preceptor.catalogue import get

RNG = np.random.default_rng(0)
IMAGE, KERNEL = RNG.normal(size=(7, 7)), RNG.normal(size=(3, 3))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def size(n: int, f: int, p: int = 0, s: int = 1) -> int:
    return (n + 2 * p - f) // s + 1


def test_convolution_indices():
    def inside(a: np.ndarray, i: int, j: int) -> float:
        return a[i, j] if 0 <= i < a.shape[0] and 0 <= j < a.shape[1] else 0.0

    places = range(7)
    pairs = [(m, n) for m in places for n in places]
    right = np.array(
        [[sum(IMAGE[m, n] * inside(KERNEL, i - m, j - n) for m, n in pairs) for j in places] for i in places]
    )
    printed = np.array(
        [[sum(IMAGE[m, n] * inside(KERNEL, i + m, j + n) for m, n in pairs) for j in places] for i in places]
    )
    assert right == pytest.approx(convolve2d(IMAGE, KERNEL)[:7, :7])
    correlation = correlate2d(IMAGE, KERNEL, mode="valid")
    found = functional.conv2d(torch.tensor(IMAGE)[None, None], torch.tensor(KERNEL)[None, None])[0, 0]
    assert found.numpy() == pytest.approx(correlation)
    for other in (convolve2d(IMAGE, KERNEL)[:7, :7], correlate2d(IMAGE, KERNEL)[:7, :7]):
        assert np.abs(printed - other).max() > 0.1


def test_convolution_invariance():
    conv = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular", bias=False)
    x = torch.randn(1, 1, 8, 8)
    moved = x.roll((1, 2), (2, 3))
    torch.testing.assert_close(conv(moved), conv(x).roll((1, 2), (2, 3)))
    assert (conv(moved) - conv(x)).abs().max() > 0.1
    torch.testing.assert_close(conv(moved).amax((2, 3)), conv(x).amax((2, 3)))


def test_layer_size_table():
    w, h, i, j, k = 4, 5, 3, 2, 3
    dense = nn.Linear(w * h * j, w * h * i, bias=False)
    conv = nn.Conv2d(j, i, k, bias=False)
    assert dense.weight.numel() == w**2 * h**2 * i * j
    assert dense.weight.numel() != w**h * i * j
    assert conv.weight.numel() == k**2 * i * j
    connections = w * h * conv.weight.numel()
    assert connections == w * h * k**2 * i * j
    found = get("layer-size", h, w, j, i, kernel=k)
    assert (found.weights, found.connections) == (k**2 * i * j, connections)


def test_output_size_floor():
    assert (224 + 2 * 2 - 11) / 4 + 1 == 55.25
    for n, f, p, s in ((224, 11, 2, 4), (227, 11, 0, 4), (32, 5, 0, 1), (7, 3, 0, 2)):
        assert get("output-size", n, kernel=f, padding=p, stride=s) == size(n, f, p, s)
        assert nn.Conv2d(1, 1, f, s, p)(torch.zeros(1, 1, n, n)).shape[-1] == size(n, f, p, s)


def test_output_size_product():
    found = nn.Conv2d(1, 1, 3, 2)(torch.zeros(1, 1, 9, 9)).shape[-1]
    assert found == (9 - 3) // 2 + 1
    assert found != (9 * 3) / 2


def test_stride_of_two():
    x, w = torch.randn(1, 1, 13, 13), torch.randn(1, 1, 3, 3)
    dense = functional.conv2d(x, w)
    for s in (2, 3, 4):
        strided = functional.conv2d(x, w, stride=s)
        assert strided.shape[-1] == (dense.shape[-1] - 1) // s + 1
        torch.testing.assert_close(strided, dense[..., ::s, ::s])
        count = strided.shape[-1]
        printed = dense[..., ::2, ::2][..., :count, :count]
        assert torch.allclose(printed, strided, atol=1e-5) == (s == 2)


def test_padding_range():
    h, p = 4, 2
    right = [p < j <= h + p for j in range(1, h + 2 * p + 1)]
    printed = [p < j <= j + p for j in range(1, h + 2 * p + 1)]
    padded = get("zero-padding", padding=p)(torch.ones(1, 1, h, h))[0, 0, p] != 0
    assert padded.tolist() == right
    assert padded.tolist() != printed


def test_same_padding():
    for f, s, kept in ((3, 1, True), (5, 1, True), (4, 1, False), (3, 2, False)):
        found = nn.Conv2d(1, 1, f, s, (f - 1) // 2)(torch.zeros(1, 1, 8, 8)).shape[-1]
        assert (found == 8) == kept
    assert get("same-convolution", 1, 1, kernel=4)(torch.zeros(1, 1, 8, 8)).shape[-1] == 8


def test_pooling_output():
    x = torch.randn(2, 3, 7, 9)
    pooled = functional.max_pool2d(x, (2, 4), stride=2)
    assert pooled.shape == (2, 3, (7 - 2) // 2 + 1, (9 - 4) // 2 + 1)
    printed = (9 - 2) / 2 + 1
    assert printed == 4.5
    assert pooled.shape[1] == 3


def test_average_pooling_parentheses():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    right = get("average-pooling")(x[None]).item()
    printed = x.sum().item() / 2 * 2
    assert (right, printed) == (2.5, 10.0)


def test_convolution_bias():
    conv = nn.Conv2d(3, 8, 5)
    assert conv.bias.shape == (8,)
    assert sum(p.numel() for p in conv.parameters()) == (3 * 5 * 5 + 1) * 8
    assert sum(p.numel() for p in nn.Conv2d(3, 96, 11).parameters()) == 34_944


def test_convolution_stride_and_padding():
    x, w = torch.randn(6, 6), torch.randn(3, 3)
    s, p = 2, 1
    found = functional.conv2d(x[None, None], w[None, None], stride=s, padding=p)[0, 0]
    padded = functional.pad(x, (p, p, p, p))

    def window(a: torch.Tensor, j: int, k: int) -> torch.Tensor:
        return (a[j : j + 3, k : k + 3] * w).sum()

    right = torch.stack([torch.stack([window(padded, j * s, k * s) for k in range(3)]) for j in range(3)])
    printed = torch.stack([torch.stack([window(x, j, k) for k in range(3)]) for j in range(3)])
    torch.testing.assert_close(found, right)
    assert (found - printed).abs().max() > 0.1


def test_skip_symbol():
    x = torch.randn(5, 3)
    first, second = nn.Linear(3, 6), nn.Linear(6, 6)
    z = first(x).relu()
    nn.init.zeros_(second.weight)
    nn.init.zeros_(second.bias)
    torch.testing.assert_close((second(z) + z).relu(), z)
    with pytest.raises(RuntimeError):
        _ = second(z) + x


def test_skip_never_hurts():
    x = torch.randn(50, 4)
    branch = nn.Linear(4, 4)
    shallow = nn.functional.mse_loss(x, x)
    assert nn.functional.mse_loss(x + branch(x), x) > shallow
    nn.init.zeros_(branch.weight)
    nn.init.zeros_(branch.bias)
    assert nn.functional.mse_loss(x + branch(x), x) == shallow


def test_one_by_one_nonlinearity():
    x, y = torch.randn(2, 1, 3, 4, 4)
    conv = nn.Conv2d(3, 5, 1, bias=False)
    torch.testing.assert_close(conv(2 * x + y), 2 * conv(x) + conv(y))
    assert not torch.allclose(conv(2 * x + y).relu(), 2 * conv(x).relu() + conv(y).relu())


def test_separable_channels():
    spatial, pointwise = nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.Conv2d(6, 10, 1, bias=False)
    assert pointwise(spatial(torch.randn(1, 6, 8, 8))).shape[1] == 10
    count = sum(p.numel() for p in get("sepconv", 6, 10).parameters())
    assert count == 6 * 9 + 6 * 10


def test_googlenet_ratio():
    alexnet, googlenet = 60_965_224, 6_998_552
    assert round(alexnet / googlenet, 1) == 8.7
    assert round(alexnet / 5e6) == 12


def test_squeezenet_size():
    parameters = 1_248_424
    assert round(parameters * 4 / 1e6, 1) == 5.0
    assert parameters * 6 / 8 / 1e6 > 0.5  # six bits alone do not do it


def test_vgg_filters():
    channels = 64
    two, one = (
        nn.Sequential(*[nn.Conv2d(channels, channels, 3, bias=False) for _ in range(2)]),
        25 * channels**2,
    )
    assert two(torch.zeros(1, channels, 5, 5)).shape[-2:] == (1, 1)
    weights = sum(p.numel() for p in two.parameters())
    assert one / weights == 25 / 18
