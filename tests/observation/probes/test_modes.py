"""Modes: layers with two of them, and chance in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from preceptor.observation.probes.modes import Modes

X = torch.randn(6, 4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
        self.head = nn.Sequential(nn.Dropout(0.4), nn.Linear(8, 2))
        self.always = 0.0

    def forward(self, x):
        return functional.dropout(self.head(self.trunk(x)), self.always)


def passed(stage, model: nn.Module, *, phase: str, times: int = 1) -> list[dict]:
    told = stage(model, [Modes()])
    for _ in range(times):
        told.begin(phase)
        told.forward(X)
        told.finish()
    return told.record.tables.get("modes", [])


def test_modes_at_a_training_step(stage) -> None:
    rows = passed(stage, Net(), phase="train", times=3)
    assert len(rows) == 1
    assert [rows[0][key] for key in ("training", "dropout_on", "norm_on", "rate")] == [True, 1, 1, 0.4]
    rows = passed(stage, Net().eval(), phase="train")
    assert [rows[0][key] for key in ("training", "dropout_off", "norm_off", "rate")] == [False, 1, 1, 0.0]


def test_frozen_surroundings_do_not_count_in_training(stage) -> None:
    model = Net()
    model.trunk.requires_grad_(False).eval()
    row = passed(stage, model, phase="train")[0]
    assert [row[key] for key in ("dropout_on", "norm_on", "norm_off")] == [1, 0, 0]


def test_a_change_has_a_row(stage) -> None:
    model = Net()
    told = stage(model, [Modes()])
    for training in (True, True, False, False, True):
        model.train(training)
        told.begin()
        told.forward(X)
        told.finish()
    assert [(row["step"], row["training"]) for row in told.record.tables["modes"]] == [
        (0, True),
        (2, False),
        (4, True),
    ]


@pytest.mark.parametrize(("rate", "random"), [(0.0, False), (0.3, True)])
def test_chance_in_evaluation(stage, rate, random) -> None:
    model = Net().eval()
    model.always = rate
    state = torch.get_rng_state()
    rows = passed(stage, model, phase="evaluation")
    assert rows[0]["random"] is random
    assert torch.equal(torch.get_rng_state(), state) is not random


def test_a_mean_over_all_batches_is_told_of(stage) -> None:
    model = Net()
    model.trunk[1].momentum = None
    assert passed(stage, model, phase="evaluation")[0]["renews"]
    assert not passed(stage, Net(), phase="evaluation")[0]["renews"]


@pytest.mark.parametrize("same", [True, False])
def test_one_tensor_that_passes_again(stage, same) -> None:
    told = stage(Net(), [Modes()])
    told.begin("evaluation")
    for _ in range(2):
        told.forward(X if same else X.clone())
    told.finish()
    assert told.record.tables["modes"][-1]["again"] is same
