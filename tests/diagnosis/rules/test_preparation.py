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


@pytest.mark.slow
def test_information_that_is_destroyed() -> None:
    x, y = blobs(features=20)
    pixels = (20 * x + 120).clamp(0, 255).to(torch.uint8)
    assert "inconsistent-preprocessing" in alarms(run(((pixels // 255).float(), y)))
    assert "inconsistent-preprocessing" in alarms(run((torch.zeros_like(x), y)))
    assert "inconsistent-preprocessing" not in found(run((pixels / 255, y)))


def test_switches_and_blank_columns_are_fine() -> None:
    torch.manual_seed(0)
    x = (torch.rand(240, 12) < 0.1).float() * torch.tensor([1.0] * 8 + [0.0] * 4)
    assert alarms(run((x, (x[:, 0] + x[:, 1] > 0).long()), epochs=3)) == set()
