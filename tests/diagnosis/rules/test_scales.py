"""The size of inputs and targets: planted, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ._data_runs import alarms, blobs, found, line, mlp, run


def sgd(lr: float) -> Any:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def test_scaled_data_are_fine() -> None:
    assert found(run(blobs(), blobs(seed=1))) == {}
    assert found(run(line(), line(seed=1), loss="mse_loss")) == {}


@pytest.mark.parametrize("optimizer", [sgd(0.1), lambda p: torch.optim.Adam(p, lr=1e-3)])
def test_columns_of_very_different_size(optimizer: Any) -> None:
    x, y = blobs()
    case = run((x * torch.tensor([1.0, 1e4, 10.0, 1.0, 1e-2, 1.0]), y), optimizer=optimizer, epochs=6)
    finding = found(case)["unscaled-inputs"]
    assert finding.severity in ("warning", "critical")
    assert finding.evidence["largest root mean square of a column"] > 1e4
    assert finding.evidence["smallest"] < 1
    assert finding.where.startswith("_data_runs.py:")


def test_inputs_that_are_tiny() -> None:
    x, y = blobs()
    assert "unscaled-inputs" in alarms(run((x * 1e-4, y), optimizer=sgd(0.1)))


def test_inputs_that_are_not_centred_where_units_stay_off() -> None:
    x, y = blobs(apart=0.7)
    case = run((x + 8, y), optimizer=sgd(0.01), epochs=4)
    finding = found(case)["unscaled-inputs"]
    assert finding.severity == "warning"
    assert finding.against


@pytest.mark.slow
def test_large_inputs_of_a_run_that_learns_are_information_at_most() -> None:
    x, y = blobs(apart=6.0)
    case = run((x * 200, y), epochs=40)
    assert case.explained is not None
    assert case.explained > 0.5
    if case.losses.first / case.chance < 10:
        assert alarms(case) == set()


class Scaling(nn.Module):
    """Scales by itself."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.norm, self.net = (nn.BatchNorm1d(6) if how == "norm" else nn.Identity()), mlp(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.norm(x) if isinstance(self.norm, nn.BatchNorm1d) else (x - 5e3) / 1e3)


@pytest.mark.parametrize("how", ["norm", "arithmetic"])
def test_what_the_model_scales_itself_is_fine(how: str) -> None:
    x, y = blobs(apart=0.2)  # hardly to be learned: the run goes badly for another reason
    case = run((x * 1e3 + 5e3, y), model=Scaling(how), epochs=3)
    assert "unscaled-inputs" not in found(case)


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(5000, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.embed(x).mean(1))
        return out


def test_token_numbers_and_heavy_tails_are_fine() -> None:
    torch.manual_seed(0)
    ids = torch.randint(5000, (200, 6))
    assert "unscaled-inputs" not in found(run((ids, ids[:, 0] % 3), model=Tokens(), epochs=2))
    x, y = blobs(apart=0.2)
    x = x.sign() * x.abs() ** 3
    assert "unscaled-inputs" not in found(run(((x - x.mean(0)) / x.std(0), y), epochs=2))


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", lambda p, y: ((p - y) ** 2).mean()])
def test_targets_that_are_far_off(loss: Any) -> None:
    x, y = line()
    case = run((x, 2e5 * y + 9e5), loss=loss)
    finding = found(case)["unscaled-targets"]
    assert finding.severity == "critical"
    assert finding.evidence["mean of the targets"] == pytest.approx(9e5, rel=0.2)


def test_targets_that_blow_up() -> None:
    x, y = line()
    assert "unscaled-targets" in alarms(run((x, 1e4 * y), loss="mse_loss", optimizer=sgd(0.1)))


@pytest.mark.slow
def test_large_targets_that_are_learned_are_fine() -> None:
    x, y = line()
    case = run((x, 40 * y + 30), loss="mse_loss", epochs=120, optimizer=lambda p: torch.optim.Adam(p, 0.1))
    assert case.explained is not None
    assert case.explained > 0.9
    assert alarms(case) == set()


def test_targets_of_the_size_of_outputs_are_fine_also_where_little_is_learned() -> None:
    x, y = line(noise=5.0)
    assert "unscaled-targets" not in found(run((x, y / 3), loss="mse_loss", epochs=2))
