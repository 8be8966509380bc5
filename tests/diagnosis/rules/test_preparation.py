"""Preparation of inputs: planted mistakes, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ._data_runs import alarms, blobs, found, run


@pytest.mark.parametrize("change", [lambda x: 255 * x, lambda x: x / 30, lambda x: x + 12])
def test_evaluation_data_that_are_prepared_otherwise(change) -> None:
    train, (x, y) = blobs(), blobs(seed=1)
    finding = found(run(train, (change(x), y)))["inconsistent-preprocessing"]
    assert finding.severity in ("warning", "critical")
    assert finding.where


def test_without_a_loss_only_what_is_far_off_counts() -> None:
    train, (x, y) = blobs(), blobs(seed=1)
    assert "inconsistent-preprocessing" in alarms(run(train, (255 * x, y), evaluation_loss=False))
    assert alarms(run(train, (4 * x, y), evaluation_loss=False)) == set()


def pixels(seed: int) -> tuple[Tensor, Tensor]:
    x, y = blobs(240, features=36, seed=seed)
    return (0.4 * x + 0.5).clamp(0, 1), y


def test_pixels_with_other_bounds() -> None:
    (x, y), (u, v) = pixels(0), pixels(1)
    finding = found(run(((x - 0.5) / 0.35, y), (u, v), evaluation_loss=False))["inconsistent-preprocessing"]
    assert finding.severity == "warning"
    assert finding.evidence["evaluation"] == [0.0, 1.0]
    turned = found(run((x, y), ((u - 0.5) / 0.35, v), evaluation_loss=False))["inconsistent-preprocessing"]
    assert turned.evidence["training"] == [0.0, 1.0]
    assert alarms(run((x, y), (u, v), evaluation_loss=False)) == set()
    assert alarms(run((x, y), (u + 0.05 * torch.randn_like(u), v), evaluation_loss=False)) == set()


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 1.3 * x, lambda x: x + 0.3, lambda x: x[:20]])
def test_other_samples_of_the_same_kind_are_fine(change) -> None:
    train, (x, y) = blobs(), blobs(seed=1)
    x = change(x)
    assert alarms(run(train, (x, y[: len(x)]))) == set()


def waves(count: int, pace: float = 0.7) -> tuple[Tensor, Tensor]:
    wave = torch.sin((torch.arange(21.0) + pace * torch.arange(count).unsqueeze(1)) / 3)
    return wave[:, :-1], wave[:, -1:]


def test_two_or_three_whole_waves_are_too_few_to_tell() -> None:
    x, y = waves(24)
    case = run((x[3:], y[3:]), (x[:3], y[:3]), loss="mse_loss", epochs=20)
    assert "inconsistent-preprocessing" not in alarms(case)
    case = run((x[3:], y[3:]), (x[:3] * 255, y[:3]), loss="mse_loss", epochs=20)
    assert "inconsistent-preprocessing" in alarms(case)


def test_samples_that_lie_close_together_are_fine() -> None:
    x, y = waves(160)
    case = run((x[20:], y[20:]), (x[:20:2], y[:20:2] + 0.3), loss="mse_loss", epochs=10)
    assert "inconsistent-preprocessing" not in alarms(case)


def test_a_few_outliers_are_no_other_preparation() -> None:
    (x, y), (u, v) = blobs(240), blobs(120, seed=1)
    u[::40] *= 60
    assert "inconsistent-preprocessing" not in alarms(run((x, y), (u, v), epochs=5))
    assert "inconsistent-preprocessing" in alarms(run((x, y), (60 * u, v), epochs=5))


def test_a_series_that_drifts_is_no_other_preparation() -> None:
    torch.manual_seed(0)
    time = torch.arange(160.0)
    series = torch.exp(time / 80) + 0.05 * torch.randn(160)
    series = (series - series[:110].mean()) / series[:110].std()
    windows = series.unfold(0, 9, 1)
    x, y = windows[:, :-1], windows[:, -1:]
    case = run((x[:100], y[:100]), (x[100:], y[100:]), loss="mse_loss", epochs=15)
    assert "inconsistent-preprocessing" not in alarms(case)
