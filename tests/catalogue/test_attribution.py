"""What an output rests on: against finite differences, exact sums, and networks whose maps are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ModelError


def inspect(name: str, *arguments, **options):
    return get(name, *arguments, kind="inspection", **options)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(27, 4)).double().train()


def pooled_net(inplace: bool = False) -> nn.Module:
    """Two convolutions, global average pooling, one linear layer."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace),
        nn.Conv2d(4, 6, 3), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip


def differences(net: nn.Module, x: torch.Tensor, target: int, step: float = 1e-5) -> torch.Tensor:
    """Return ∂z_target/∂x of one example by central differences."""
    net.eval()
    slope = torch.zeros_like(x)
    with torch.no_grad():
        for i in range(x.numel()):
            up, down = x.clone(), x.clone()
            up.view(-1)[i] += step
            down.view(-1)[i] -= step
            slope.view(-1)[i] = (net(up)[0, target] - net(down)[0, target]) / (2 * step)
    return slope


@pytest.mark.parametrize("target", [0, 3])
def test_saliency_is_the_largest_finite_difference(target: int):
    net, x = smooth_net(), draw(1, 2, 5, 5)
    seen = inspect("saliency", net, x, target=target)["saliency"]
    torch.testing.assert_close(seen, differences(net, x, target).abs().amax(1), atol=1e-8, rtol=1e-6)
    assert all(not module.training for module in net.modules())  # differences() left it so
    assert all(p.grad is None for p in net.parameters())


def test_smoothgrad_without_noise_is_saliency():
    net, x = smooth_net(), draw(3, 2, 5, 5)
    plain = inspect("saliency", net, x)
    seen = inspect("smoothgrad", net, x, n=2, noise=0.0)
    torch.testing.assert_close(seen["saliency"], plain["saliency"])
    assert torch.equal(seen["target"], plain["target"])
    assert net.training


def test_smoothgrad_is_the_mean_gradient_of_noisy_copies():
    net, x = smooth_net(), draw(1, 2, 5, 5)
    noise = torch.Generator().manual_seed(7)
    spread = 0.2 * (x.max() - x.min())
    drawn = [torch.randn(x.shape, generator=noise, dtype=x.dtype) for _ in range(5)]
    expected = sum(differences(net, x + spread * e, 1) for e in drawn) / 5
    seen = inspect("smoothgrad", net, x, target=1, n=5, noise=0.2, seed=7)["saliency"]
    torch.testing.assert_close(seen, expected.abs().amax(1), atol=1e-8, rtol=1e-6)


def test_integrated_gradients_add_up_to_the_rise_of_the_output():
    net, x = smooth_net(), draw(2, 2, 5, 5)
    seen = inspect("integrated-gradients", net, x, target=2, baseline=draw(1, 2, 5, 5, seed=3), steps=200)
    net.eval()
    rise = (net(x) - net(draw(1, 2, 5, 5, seed=3)))[:, 2]
    torch.testing.assert_close(seen["attributions"].sum((1, 2, 3)), rise.detach(), atol=1e-5, rtol=1e-4)
    assert seen["gap"] < 1e-5
    torch.testing.assert_close(seen["image"], seen["attributions"].sum(1))


def test_integrated_gradients_of_a_square_are_exact():
    class Squares(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square().sum(1, keepdim=True)

    x = draw(4, 3)
    seen = inspect("integrated-gradients", Squares(), x, steps=1)
    torch.testing.assert_close(seen["attributions"], x.square())


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("target", [None, 1])
def test_grad_cam_is_the_class_activation_map_after_average_pooling(inplace: bool, target: int | None):
    net, x = pooled_net(inplace), draw(3, 2, 8, 8)
    cam = inspect("class-activation-map", net, x, target=target)
    seen = inspect("grad-cam", net, x, target=target)
    places = math.prod(cam["map"].shape[1:])
    assert (seen["layer"], cam["layer"], places) == ("4", "4", 36)
    torch.testing.assert_close(seen["map"], cam["map"].clamp(min=0) / places)
    torch.testing.assert_close(seen["weights"], net[7].weight[seen["target"]].detach() / places)
    assert seen["cam"].shape == (3, 8, 8)


def test_the_mean_of_the_class_activation_map_is_the_output():
    net, x = pooled_net().eval(), draw(2, 2, 8, 8)
    cam = inspect("class-activation-map", net, x, target=2)["map"]
    torch.testing.assert_close(cam.mean((1, 2)) + net[7].bias[2], net(x)[:, 2])


def test_grad_cam_at_another_layer_by_hand():
    net, x = pooled_net().eval(), draw(1, 2, 8, 8)
    maps = net[:3](x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(net[3:](maps)[0, 0], maps)
    expected = (slope.mean((2, 3), keepdim=True) * maps).sum(1).clamp(min=0)
    torch.testing.assert_close(inspect("grad-cam", net, x, target=0, layer="2")["map"], expected.detach())


def test_frozen_models_can_be_explained():
    net = pooled_net().requires_grad_(False)
    assert inspect("grad-cam", net, draw(1, 2, 8, 8))["map"].shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("name", "net", "options", "says"),
    [
        ("grad-cam", nn.Sequential(nn.Flatten(), nn.Linear(32, 2)), {}, "no maps to weight"),
        ("grad-cam", nn.Conv2d(2, 2, 4), {"layer": "x"}, "no such layer"),
        ("grad-cam", nn.Sequential(nn.Flatten(), nn.Linear(32, 2)), {"target": 2}, "no such output"),
        ("class-activation-map", nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten()), {}, "no linear layer"),
        (
            "class-activation-map",
            nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(8, 2)),
            {},
            "global average pooling",
        ),
    ],
)
def test_what_cannot_be_explained(name: str, net: nn.Module, options: dict[str, object], says: str):
    with pytest.raises(ModelError, match=says):
        inspect(name, net, torch.zeros(1, 2, 4, 4), **options)


def test_filters_of_a_linear_layer_are_its_rows():
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 5))
    seen = inspect("first-layer-filters", net, shape=(2, 3, 3))
    torch.testing.assert_close(seen["filters"], net[1].weight.detach().unflatten(1, (2, 3, 3)).mean(1))
    with pytest.raises(ModelError, match="18 inputs in 1"):
        inspect("first-layer-filters", net, shape=(1, 3, 3))


@pytest.mark.parametrize("window", [1, 2, 3])
def test_convolution_extracts_and_pooling_selects(window: int):
    x, kernel = draw(9, 8), draw(2, 3)
    seen = inspect_example(x, kernel, window=window)
    maps = torch.stack([
        torch.stack([(x[i : i + 2, j : j + 3] * kernel).sum() for j in range(6)]) for i in range(8)
    ]).requires_grad_()  # fmt: skip
    torch.testing.assert_close(seen["maps"], maps.detach())
    windows = maps.unfold(0, window, window).unfold(1, window, window)
    pooled = windows.amax((2, 3))
    torch.testing.assert_close(seen["selected"], pooled.detach())
    (reached,) = torch.autograd.grad(pooled.sum(), maps)
    assert torch.equal(seen["places"], reached)


def inspect_example(*arguments, **options):
    return get("extraction-and-selection", *arguments, kind="worked-example", **options)


def test_a_kernel_has_to_fit():
    with pytest.raises(ModelError, match="a kernel that fits"):
        inspect_example(draw(3, 3), draw(4, 1))
    with pytest.raises(ModelError, match="a window of at most 2"):
        inspect_example(draw(3, 3), draw(2, 2), window=3)
