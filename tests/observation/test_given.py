"""What a step was given whose loss is the first that is not finite."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.observation._given import Given
from preceptor.observation.record import Record
from preceptor.observation.watch import Watch


def _train(spoil: Any, steps: int = 60) -> Any:
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with Watch(budget=1e-6) as watch:
        for step in range(steps):
            x, y = torch.randn(4, 3), torch.randn(4, 1)
            if step == 44:
                spoil(x, y)
            optimizer.zero_grad()
            functional.mse_loss(net(x), y).backward()
            optimizer.step()
    return watch.record.facts.get("not_finite")


@pytest.mark.slow
def test_input_and_target_are_told_apart() -> None:
    def input_(x: Tensor, y: Tensor) -> None:
        x[2, 1] = math.nan

    def target(x: Tensor, y: Tensor) -> None:
        y[1:3] = math.inf

    sound = {"bad": 0, "of": 12, "samples": [], "batch": 4}
    found = _train(input_)
    assert found["step"] == 44
    assert found["input"] == {"bad": 1, "of": 12, "samples": [2], "batch": 4}
    assert found["target"]["bad"] == 0
    found = _train(target)
    assert found["input"] == sound
    assert found["target"] == {"bad": 2, "of": 4, "samples": [1, 2], "batch": 4}
    assert _train(lambda x, y: None) is None


def test_what_another_model_made_is_left_out() -> None:
    given, record = Given(), Record()
    given.inputs((torch.full((2, 2), math.nan, requires_grad=True),))
    given.tell(record, 3)
    assert record.facts["not_finite"] == {"step": 3}


@pytest.mark.slow
def test_nothing_is_kept_alive() -> None:
    given, record = Given(), Record()
    x, y = torch.full((2, 2), math.nan), torch.zeros(2)
    given.inputs((x,))
    given.targets((x, y))
    ref = weakref.ref(x)
    del x
    gc.collect()
    assert ref() is None
    given.tell(record, 0)
    assert "input" not in record.facts["not_finite"]
    given.inputs(())
    given.targets((1,))
