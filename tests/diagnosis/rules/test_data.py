"""Values that are not finite, and preparation: planted, and what only looks like it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ._data_runs import alarms, blobs, found, line, mlp, run


def test_gaps_in_the_inputs() -> None:
    x, y = blobs()
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.02] = math.nan
    finding = found(run((x, y), epochs=3))["invalid-values-in-data"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert 0.005 < finding.evidence["share of all values"] < 0.05
    assert finding.where


def test_gaps_in_the_targets() -> None:
    x, y = line()
    y[::20] = math.inf
    finding = found(run((x, y), loss="mse_loss", epochs=3))["invalid-values-in-data"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert "Targets" in finding.title


class Filling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x.nan_to_num())
        return out


def test_gaps_that_the_model_fills_are_no_alarm() -> None:
    x, y = blobs()
    x[3, 2] = math.nan
    assert alarms(run((x, y), model=Filling())) == set()
