"""Freshness: whether gradients are new, whatever cleared them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.observation._freshness import Freshness
from preceptor.observation.watch import Watch


def counts(step_of, steps: int = 5) -> dict[str, int]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    with Watch() as watch:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            step_of(model, optimizer)
    found: dict[str, int] = watch.record.facts["optimizers"][0]["gradients"]
    assert watch.notes in (
        [],
        ["no backward pass was seen: nothing was trained through torch.autograd in this thread"],
    )
    return found


def backward(model: nn.Module) -> None:
    model(torch.ones(2, 3)).sum().backward()


def fresh(model, optimizer):
    optimizer.zero_grad()
    backward(model)
    optimizer.step()


def carried(model, optimizer):
    backward(model)
    optimizer.step()


def stale(model, optimizer):
    if model.weight.grad is None:
        backward(model)
    optimizer.step()


def nothing(model, optimizer):
    optimizer.step()


def cleared(model, optimizer):
    backward(model)
    optimizer.zero_grad()
    optimizer.step()


def cleared_to_zero(model, optimizer):
    backward(model)
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()


def of_another(model, optimizer):
    optimizer.zero_grad(set_to_none=False)
    backward(model)
    nn.Linear(2, 2).zero_grad()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()


def written(model, optimizer):
    model.weight.grad = torch.randn(1, 3)
    optimizer.step()


@pytest.mark.parametrize(
    ("step_of", "kind", "number"),
    [
        (fresh, "carried", 0),
        (carried, "carried", 4),
        (stale, "stale", 4),
        (nothing, "none", 5),
        (cleared, "cleared", 5),
        (cleared_to_zero, "cleared", 5),
        (of_another, "carried", 0),
    ],
)
def test_each_kind_is_counted(step_of, kind, number) -> None:
    found = counts(step_of)
    others = {"carried", "stale", "none", "cleared"} - {kind} - ({"none"} if kind == "cleared" else set())
    assert found["steps"] == 5
    assert found[kind] == number
    assert not any(found[other] for other in others)


def test_gradients_that_are_written_by_hand_are_new() -> None:
    found = counts(written)
    assert (found["stale"], found["none"], found["carried"]) == (0, 0, 0)


def test_only_the_first_steps_are_followed() -> None:
    assert counts(carried, steps=30)["steps"] == 8


def test_an_optimizer_that_is_gone_or_is_given_more() -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    follow = Freshness(optimizer)
    follow.before_backward()
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
    backward(model)
    follow.after_backward()
    follow.before_step()
    assert follow.after_step()
    del optimizer
    follow.before_backward()
    follow.after_backward()
    assert follow.counts["steps"] == 1
