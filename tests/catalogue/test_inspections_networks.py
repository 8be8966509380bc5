"""Inspections of networks and of runs, each on something planted."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.errors import ConfigError, DataError, ModelError


def inspect(name: str, *arguments, **options):
    return get(name, *arguments, kind="inspection", **options)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def modes(model: nn.Module) -> list[bool]:
    return [m.training for m in model.modules()]


# Activations


def test_planted_dead_and_saturated_units_are_counted_exactly():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 2))
    with torch.no_grad():
        net[0].bias[:3] = -100.0
        net[2].bias[:2] = 100.0
        net[2].bias[2:] = 0.0
        net[2].weight.mul_(0.1)
    before = modes(net)
    seen = inspect("activation-histograms", net, draw(64, 4))
    assert seen["dead"] == {"1": pytest.approx(0.3), "3": 0.0}
    assert seen["saturated"] == {"1": 0.0, "3": pytest.approx(0.25)}
    assert seen["layers"]["1"]["zeros"] > 0.3  # inactive for some inputs is not dead
    assert int(seen["layers"]["1"]["counts"].sum()) == 640
    assert seen.figure().axes
    assert modes(net) == before
    with pytest.raises(ModelError, match="not finite"):
        inspect("activation-histograms", net, torch.full((2, 4), float("nan")))
    with pytest.raises(ModelError, match="no such layer"):
        inspect("activation-histograms", net, draw(4, 4), layers=["relu"])
    with pytest.raises(ModelError, match="no layer to look at"):
        inspect("activation-histograms", nn.Linear(4, 2), draw(4, 4))


def test_channels_are_the_units_of_a_convolution():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    nn.init.constant_(net[0].bias, 1.0)
    with torch.no_grad():
        net[0].bias[0] = -100.0
    assert inspect("activation-histograms", net, draw(2, 1, 8, 8))["dead"] == {"1": 0.25}


def test_filters_and_feature_maps_become_images(tmp_path):
    net = get("lenet-5", (1, 28, 28), 10)
    filters = inspect("first-layer-filters", net)
    assert filters["filters"].shape == (6, 5, 5)
    assert inspect("filters", nn.Sequential(nn.Conv2d(3, 8, 3)))["filters"].shape == (8, 3, 3, 3)
    assert filters.save(tmp_path / "filters.png").stat().st_size > 500
    maps = inspect("feature-maps", net, draw(1, 1, 28, 28))
    assert [len(m) for m in maps["maps"].values()] == [6, 16]
    assert maps.save(tmp_path / "maps.svg").stat().st_size > 500
    with pytest.raises(ModelError, match="of convolutions"):
        inspect("filters", nn.Sequential(nn.Linear(2, 2)), layer="0")


def test_internal_covariate_shift_is_smaller_with_batch_normalisation():
    x, y = 3 * draw(256, 8), draw(256, 1, seed=1)
    drifts = {}
    for normalised in (False, True):
        torch.manual_seed(0)
        norm = (lambda: nn.BatchNorm1d(16)) if normalised else nn.Identity
        net = nn.Sequential(
            nn.Linear(8, 16), norm(), nn.ReLU(), nn.Linear(16, 16), norm(), nn.ReLU(), nn.Linear(16, 1)
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        monitor = inspect("internal-covariate-shift", net, x)
        with pytest.raises(ModelError, match="no drift yet"):
            monitor.result()
        for _ in range(30):
            monitor.record()
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
        seen = monitor.result()
        assert seen["drift"]["0"] == 0.0  # the data stand still
        drifts[normalised] = seen["drift"]["6"]
    assert drifts[True] < drifts[False]
    assert seen.figure().axes


def test_recording_drift_leaves_the_running_statistics_alone():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    before = {n: b.clone() for n, b in net.named_buffers()}
    inspect("ics", net, draw(16, 3) + 5).record()
    assert all(torch.equal(before[n], b) for n, b in net.named_buffers())


class _Residual(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        nn.init.constant_(self.inner.weight, gain)
        nn.init.zeros_(self.inner.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def test_a_block_that_does_nothing_is_not_missed():
    net = nn.Sequential(_Residual(0.0), _Residual(0.5), nn.Linear(4, 1))
    seen = inspect("layer-redundancy", net, lambda z: z.square().mean(), draw(16, 4))
    assert set(seen["changes"]) == {"0", "1"}
    assert seen["changes"]["0"] == 0.0
    assert abs(seen["changes"]["1"]) > 1e-3
    inner = inspect("layer-redundancy", net, lambda z: z.square().mean(), draw(16, 4), blocks=["1.inner"])
    assert list(inner["changes"]) == ["1.inner"]
    with pytest.raises(ModelError, match="no block"):
        inspect("layer-redundancy", nn.Sequential(nn.Linear(3, 2)), lambda z: z.mean(), draw(2, 3))


# Weights


def test_identical_units_are_listed():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Conv1d(5, 2, 1))
    with torch.no_grad():
        net[0].weight[3], net[0].bias[3] = net[0].weight[1], net[0].bias[1]
    seen = inspect("weights", net)
    assert seen["duplicates"] == {"0": [[1, 3]]}
    assert seen.figure().axes
    with pytest.raises(ModelError, match="no weights"):
        inspect("weights", nn.ReLU())


@pytest.mark.parametrize(
    ("net", "layer", "units", "shape"),
    [
        (nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)), "0", 6, (5, 3)),
        (nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.PReLU(6), nn.Linear(6, 2)), "0", 6, (5, 3)),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)),
            "0",
            4,
            (2, 1, 8, 8),
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)),
            "0",
            4,
            (2, 1, 8, 8),
        ),
    ],
    ids=["linear", "batch-norm", "channels", "flattened"],
)
def test_units_change_places_and_the_function_stays(net: nn.Module, layer: str, units: int, shape):
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.arange(units))
            nn.init.normal_(module.weight)
    order = list(reversed(range(units)))
    seen = inspect("permute-units", net, layer, order, draw(*shape))
    assert seen["difference"] < 1e-5
    other = dict(seen["model"].named_modules())[layer].weight
    assert torch.equal(other, dict(net.named_modules())[layer].weight[order])
    assert not torch.equal(other, dict(net.named_modules())[layer].weight)


def test_units_that_a_shortcut_uses_are_refused():
    net = nn.Sequential(nn.Linear(4, 4), _Residual(0.5), nn.Linear(4, 1))
    with pytest.raises(ModelError, match="used elsewhere"):
        inspect("permute-units", net, "0", [1, 0, 3, 2], draw(5, 4))
    with pytest.raises(ModelError, match="not a permutation"):
        inspect("permute-units", net, "0", [0, 0, 1, 2], draw(5, 4))
    with pytest.raises(ModelError, match="no such layer"):
        inspect("permute-units", net, "9", [0], draw(5, 4))
    with pytest.raises(ModelError, match="these are the outputs"):
        inspect("permute-units", net, "2", [0], draw(5, 4))


# Gradients


def test_gradient_norms_equal_the_direct_computation():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    with pytest.raises(ModelError, match="no gradients"):
        inspect("gradient-norms", net)
    net[2].bias.requires_grad_(False)
    net(draw(5, 3)).sum().backward()
    seen = inspect("gradient-norms", net)
    assert seen["norms"]["0.weight"] == pytest.approx(net[0].weight.grad.norm().item())
    total = torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
    assert seen["total"] == pytest.approx(total.item())
    assert "2.bias" not in seen["norms"]
    assert seen.figure().axes


@pytest.mark.parametrize("gain", [0.5, 1.2])
def test_the_gradient_of_a_linear_recurrence_goes_as_a_power_of_its_gain(gain: float):
    def recurrence(x: torch.Tensor) -> torch.Tensor:
        h, out = torch.zeros(len(x), x.shape[2]), []
        for t in range(x.shape[1]):
            h = gain * h + x[:, t]
            out.append(h)
        return torch.stack(out, 1)

    seen = inspect("gradient-by-lag", recurrence, draw(1, 6, 2))
    expected = 2**0.5 * gain ** torch.arange(6.0)
    torch.testing.assert_close(seen["norms"], expected)
    assert seen["factor"] == pytest.approx(gain, rel=1e-5)
    assert inspect("gradient-by-lag", nn.GRU(2, 3, batch_first=True), draw(2, 4, 2))["norms"].shape == (4,)
    with pytest.raises(DataError, match="sequences"):
        inspect("gradient-by-lag", recurrence, draw(3, 2))


def test_the_variance_of_the_gradient_falls_as_one_over_the_batch_size():
    torch.manual_seed(0)
    net, x, y = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), draw(200, 3), draw(200, 1, seed=1)
    seen = inspect("gradient-noise", net, nn.functional.mse_loss, x, y, repeats=300)
    assert seen["slope"] == pytest.approx(-1, abs=0.1)
    assert seen["variances"][0] == pytest.approx(seen["trace"], rel=0.3)
    assert seen.figure().axes
    with pytest.raises(DataError, match="batch sizes"):
        inspect("gradient-noise", net, nn.functional.mse_loss, x, y, sizes=(4,))


def test_saliency_and_occlusion_find_the_pixels_that_matter():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight.view(2, 8, 8)[1, 0:2, 4:6] = 1.0
    image = torch.ones(1, 1, 8, 8)
    heat = inspect("saliency", net, image, target=1)["saliency"][0]
    assert heat.nonzero().tolist() == [[0, 4], [0, 5], [1, 4], [1, 5]]
    drop = inspect("occlusion", net, image, target=1, size=2, stride=2)
    assert drop["drop"].shape == (4, 4)
    assert divmod(int(drop["drop"].argmax()), 4) == (0, 2)
    assert drop["drop"].max().item() == pytest.approx(4.0)
    assert drop.figure().axes
    for name in ("saliency", "occlusion"):
        with pytest.raises(ModelError, match="no such output"):
            inspect(name, net, image, target=2)
    with pytest.raises(DataError, match="one image"):
        inspect("occlusion", net, image, size=9)


# Runs


@pytest.mark.parametrize(
    ("train", "val", "verdict"),
    [
        ([1 / (1 + e) for e in range(40)], [1 / (1 + e) + 0.02 * e for e in range(40)], "overfitting"),
        ([0.9**e for e in range(20)], [0.9**e * 1.05 for e in range(20)], "still learning"),
        ([0.6 + 0.4 * 0.5**e for e in range(20)], [0.62 + 0.4 * 0.5**e for e in range(20)], "underfitting"),
        ([0.05 + 0.95 * 0.5**e for e in range(20)], [0.06 + 0.95 * 0.5**e for e in range(20)], "good fit"),
        ([0.05 + 0.95 * 0.5**e for e in range(20)], [0.4 + 0.6 * 0.5**e for e in range(20)], "large gap"),
        (
            [0.3 + 0.7 * 0.5**e for e in range(20)],
            [0.1 + 0.9 * 0.5**e for e in range(20)],
            "validation better",
        ),
        ([1 - 0.02 * e for e in range(20)], [1.02 - 0.02 * e for e in range(20)], "nearly linear"),
        ([1.0] + [0.5 - 0.001 * e for e in range(19)], [1.0] + [0.52] * 19, "early plateau"),
        ([1.0] * 8 + [0.7**e for e in range(12)], [1.0] * 8 + [0.7**e for e in range(12)], "late start"),
        ([1.0, 2.0, 9.0, 80.0], None, "diverged"),
        ([1.0, float("nan"), 1.0], None, "diverged"),
        ([1.0, 1.0, 0.999, 1.0, 1.0], None, "nothing learned"),
    ],
)
def test_learning_curves_are_classified(train: list[float], val: list[float] | None, verdict: str):
    history = {"train_loss": train} | ({} if val is None else {"val_loss": val})
    seen = inspect("learning-curve", history)
    assert seen["verdict"] == verdict
    assert seen["advice"]
    assert seen.figure().axes


def test_the_history_of_a_run_is_a_learning_curve():
    from preceptor import train

    run = train("mlp", "iris", epochs=4, out=False)
    seen = inspect("learning-curve", run.history.rows)
    assert len(seen["training"]) == 4
    assert 1 <= seen["best_epoch"] <= 4
    with pytest.raises(DataError, match="no learning curve"):
        inspect("learning-curve", [{"epoch": 1}])


def test_a_slow_loader_is_named_as_the_bottleneck():
    def slow():
        for _ in range(4):
            time.sleep(0.05)
            yield torch.zeros(2)

    timer = inspect("step-timer")
    with pytest.raises(DataError, match="no step"):
        timer.result()
    for batch in timer.loading(slow()):
        with timer.phase("forward"):
            _ = batch + 1
        with timer.phase("backward"):
            pass
    seen = timer.result(total_steps=104)
    assert seen["bottleneck"] == "loading"
    assert 0.05 <= seen["seconds"]["loading"] < 0.1
    assert sum(seen["shares"].values()) == pytest.approx(1)
    assert seen["remaining"] == pytest.approx(100 * seen["step"])
    assert not seen["slow"]
    assert inspect("step-timer", limit=0.01).limit == 0.01
    assert seen.figure().axes


def test_a_step_costs_d_and_the_closed_form_d_cubed():
    seen = inspect("solver-cost", [500, 1000, 2000], examples=100, repeats=0)
    assert seen["slopes"]["operations of a step"] == pytest.approx(1)
    assert seen["slopes"]["operations to solve"] == pytest.approx(3)
    assert inspect("gd-cost", [32, 64], examples=10, repeats=1)["seconds to solve"][0] > 0
    with pytest.raises(DataError, match="nothing to compare"):
        inspect("solver-cost", [10])


def test_options_are_checked():
    for name, option in (("activation-histograms", {"bins": 0}), ("weights", {"tolerance": -1.0})):
        with pytest.raises(ConfigError):
            inspect(
                name,
                nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
                *([draw(2, 2)] if "bins" in option else []),
                **option,
            )
