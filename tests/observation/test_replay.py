"""What a replay answers, and what it says when it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import ModelError
from preceptor.observation._graph_calls import same_bits
from preceptor.observation.capture import capture


def test_gradients_of_the_replay_are_the_programs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(inplace=True), nn.Linear(8, 2))
    with capture(model) as captured:
        functional.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    parameters = captured.graph.parameters
    leaves = {v: by_name(model, v.name).detach().clone().requires_grad_() for v in parameters}
    captured.graph.replay(overrides=leaves).backward()
    for value, leaf in leaves.items():
        assert leaf.grad is not None
        assert same_bits(leaf.grad, by_name(model, value.name).grad)


def by_name(model: nn.Module, name: str) -> nn.Parameter:
    return dict(model.named_parameters())[name]


def test_overrides_answer_what_if() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    with capture(names={"w": w}) as captured:
        (w * torch.tensor([3.0, 4.0])).sum().backward()
    graph = captured.graph
    assert graph.replay().item() == 11.0
    assert graph.replay(overrides={graph.parameters[0]: torch.zeros(2)}).item() == 0.0
    assert graph.replayable


def test_an_operator_that_cannot_be_recorded_is_named() -> None:
    w = torch.randn(3, requires_grad=True)
    with capture() as captured:
        torch.vmap(lambda row: row.sin() * 2)(w).sum().backward()
    assert not captured.graph.replayable
    assert "could not be recorded" in captured.graph.broken_by
    with pytest.raises(ModelError, match="cannot be replayed"):
        captured.graph.replay()


class Counting(torch.autograd.Function):
    calls = 0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Counting.calls += 1
        print("called")
        return x * Counting.calls

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def test_the_operator_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    w = torch.ones(3, requires_grad=True)
    with capture() as captured:
        (Counting.apply(w * 2) + 1).sum().backward()
    assert captured.graph.broken_by.startswith("Counting at test_replay.py:")
    assert captured.graph.check().node is captured.graph.find("Counting")[0]
    assert capsys.readouterr().out == "called\n"


def test_a_budget_that_is_too_small_is_said() -> None:
    layer = nn.Linear(100, 100)
    with capture(budget=10_000) as captured:
        layer(torch.randn(2, 100)).sum().backward()
    assert "the budget is" in captured.graph.broken_by
    assert captured.graph.stored == {}


def test_a_change_that_nobody_saw_is_not_hidden() -> None:
    array = np.ones(3, dtype=np.float32)
    x, w = torch.from_numpy(array), torch.ones(3, requires_grad=True)
    with capture() as captured:
        loss = (x * w).sum()
        array += 1
        loss.backward()
    assert not captured.graph.replayable
    assert captured.graph.broken_by


def test_data_changed_afterwards_does_not_change_the_replay() -> None:
    x, w = torch.ones(3), torch.ones(3, requires_grad=True)
    with capture() as captured:
        (x * w).sum().backward()
    x.zero_()
    with torch.no_grad():
        w.zero_()
    assert captured.graph.replay().item() == 3.0


def test_large_data_changed_afterwards_is_noticed() -> None:
    x, w = torch.ones(600, 600), torch.ones(600, requires_grad=True)
    with capture() as captured:
        (x @ w).sum().backward()
    assert captured.graph.replay().item() == 360_000.0
    x.zero_()
    with pytest.raises(ModelError, match="changed since"):
        captured.graph.replay()


def test_constants_that_went_through_python_are_known() -> None:
    w = torch.ones(3, requires_grad=True)
    with capture() as captured:
        scale = (w * 2.5).sum().item()
        (w * scale).sum().backward()
    (item,) = captured.graph.left_graph()
    assert (item.op, item.escaped) == ("item", 7.5)
    assert [node.from_python for node in captured.graph.find("mul")] == [(), (item.index,)]
    assert captured.graph.replayable
