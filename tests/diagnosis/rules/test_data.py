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


def test_one_gap_at_a_step_that_no_look_fell_on() -> None:
    x, y = blobs(1600)
    x[1599, 2] = math.nan  # the last batch of a hundred, in order
    finding = found(run((x, y), epochs=2, shuffle=False, budget=1e-6))["invalid-values-in-data"]
    assert (finding.severity, finding.exact) == ("critical", True)
    assert finding.steps == (99,)
    assert finding.evidence["samples of the batch"] == [15]
    u, v = line(1600)
    v[1599] = math.inf
    case = run((u, v), loss="mse_loss", epochs=2, shuffle=False, budget=1e-6)
    assert "1 targets of the batch at step 99" in found(case)["invalid-values-in-data"].title


def test_a_run_that_breaks_down_on_sound_data_is_none() -> None:
    x, y = line()
    case = run((x * 1e3, y), loss="mse_loss", optimizer=lambda p: torch.optim.SGD(p, lr=1e3), epochs=3)
    assert case.diverged
    assert "invalid-values-in-data" not in found(case)
