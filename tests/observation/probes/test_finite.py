from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.observation.probes import offender, standard


class Log(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.log()


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def _offenders(told: Any) -> list[tuple[str, str]]:
    return [(row["kind"], row["name"]) for row in told.record.tables["offenders"]]


def _step(stage: Any, model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None) -> Any:
    told = stage(model, standard())
    told.train(torch.optim.SGD(model.parameters(), lr=0.1), x, torch.tensor([0, 1] * 4) if y is None else y)
    return told


def test_a_finite_step_has_no_offender(stage: Any) -> None:
    assert _offenders(_step(stage, _model(), torch.randn(8, 3))) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_one_is_named_and_what_follows_from_it_is_not(stage: Any, bad: float) -> None:
    x = torch.randn(8, 3)
    x[4, 1] = bad
    assert _offenders(_step(stage, _model(), x))[0] == ("input", "input")
    model = _model()
    with torch.no_grad():
        model[2].bias[1] = bad
    assert _offenders(_step(stage, model, torch.randn(8, 3))) == [("parameter", "2.bias")]
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), Log(), Log(), nn.Linear(4, 2))
    told = _step(stage, model, torch.randn(8, 3))
    assert _offenders(told) == [("activation", "3")], "the logarithm of a negative number"
    assert told.record.tables["offenders"][0]["also"][-2:] == ["gradient", "update"]


def test_a_gradient_alone(stage: Any) -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 0).sqrt() + x

    model = nn.Sequential(nn.Linear(3, 2), Root())
    told = _step(stage, model, torch.randn(8, 3))
    assert _offenders(told) == [("gradient", "0.weight")]


def test_each_kind_once(stage: Any) -> None:
    model = _model()
    told = stage(model, standard())
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.full((8, 3), math.nan)
    for _ in range(3):
        told.train(sgd, x, torch.tensor([0, 1] * 4))
    assert _offenders(told) == [("input", "input")]


def test_evaluation_passes_are_judged_too(stage: Any) -> None:
    told = stage(_model(), standard())
    told.begin("evaluation")
    with torch.no_grad():
        told.forward(torch.full((2, 3), math.inf))
    told.finish()
    assert told.record.tables["offenders"][0]["phase"] == "evaluation"


def test_order() -> None:
    kinds = ["update", "gradient", "loss", "activation", "parameter", "input"]
    suspects = [(kind, 0, kind) for kind in kinds]
    while suspects:
        assert offender(suspects) == (suspects[-1][0], suspects[-1][0])
        suspects.pop()
    assert offender([]) is None
