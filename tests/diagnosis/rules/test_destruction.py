"""Preparation that destroys inputs, and what only looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from preceptor.diagnosis.rules.destruction import truncated_inputs

from ._data_runs import alarms, blobs, found, run


def pixels(seed: int) -> tuple[Tensor, Tensor]:
    x, y = blobs(240, features=36, seed=seed)
    return (0.4 * x + 0.5).clamp(0, 1), y


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


def test_fractions_that_are_cut_off() -> None:
    x, y = pixels(0)
    finding = next(iter(truncated_inputs(run((x, y), epochs=3, prepare=lambda x: x.to(torch.uint8).float()))))
    assert finding.exact
    assert finding.where.startswith("test_destruction.py:")
    assert finding.evidence["fractions that became 0"] > 0.4

    def beside(x: Tensor) -> Tensor:
        x[:, :5].long()  # of another size than what the model is fed with
        return (x > 0.5).float()

    for prepare in (beside, lambda x: (16 * x).int().float(), lambda x: (x * 255).byte() / 255):
        assert list(truncated_inputs(run((x, y), epochs=3, prepare=prepare))) == []
