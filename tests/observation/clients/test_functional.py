"""Training without modules or without an optimizer, and gradients of one's own making."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.observation.watch import LEVELS

from ._twice import losses_of, twice

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (32,), generator=torch.Generator().manual_seed(2))


def by_hand() -> dict[str, Any]:
    w = torch.randn(4, 3, requires_grad=True)
    b = torch.zeros(3, requires_grad=True)
    losses = []
    for _ in range(10):
        loss = functional.cross_entropy(X @ w + b, Y)
        loss.backward()
        with torch.no_grad():
            for tensor in (w, b):
                tensor -= 0.1 * tensor.grad
                tensor.grad.zero_()
        losses.append(loss.item())
    return {"losses": losses, "w": w, "b": b}


def by_hand_new_tensors() -> dict[str, Any]:
    w, losses = torch.randn(4, 3, requires_grad=True), []
    for _ in range(10):
        loss = functional.cross_entropy(X @ w, Y)
        loss.backward()
        w = (w - 0.1 * w.grad).detach().requires_grad_()
        losses.append(loss.item())
    return {"losses": losses, "w": w}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("train", [by_hand, by_hand_new_tensors])
def test_parameters_changed_by_hand(train: Any, level: str) -> None:
    watch, made = twice(train, level)
    assert losses_of(watch) == made["losses"]
    assert watch.steps.train == 10
    assert "no torch.optim optimizer was seen: each backward pass counts as a step" in watch.notes
    assert watch.graph(0).losses


def transforms() -> dict[str, Any]:
    model = nn.Linear(4, 3)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    losses = []

    def loss_of(parameters: dict[str, Tensor]) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(model, parameters, (X,)), Y)

    for _ in range(6):
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters)
        parameters = {name: p - 0.1 * gradients[name] for name, p in parameters.items()}
        losses.append(loss.item())
    per_sample = torch.func.vmap(torch.func.grad(lambda w, x: (x @ w).square().sum()), (None, 0))
    return {"losses": losses, "p": parameters, "each": per_sample(parameters["weight"].t(), X)}


@pytest.mark.parametrize("level", LEVELS)
def test_function_transforms_are_said_to_be_out_of_sight(level: str) -> None:
    watch, _ = twice(transforms, level)
    assert watch.steps.train == 0
    assert any("no backward pass was seen" in note for note in watch.notes)


def with_grad() -> dict[str, Any]:
    """Gradients by torch.autograd.grad, with a penalty on the gradient of the input."""
    model, losses = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(6):
        x = X.clone().requires_grad_()
        score = model(x)
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        loss = functional.mse_loss(score, torch.ones(32, 1)) + (slope.norm(dim=1) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    parameters = list(model.parameters())
    for _ in range(3):
        loss = functional.mse_loss(model(X), torch.ones(32, 1))
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_that_are_asked_for(level: str) -> None:
    watch, made = twice(with_grad, level)
    assert losses_of(watch)[:6] == made["losses"]
    assert watch.steps.train == 9
    assert any(event.kind == "grad" for phrase in watch.protocol for event in phrase.events)


class Straight(torch.autograd.Function):
    """Rounds; its gradient pretends that it did not."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.round()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return gradient * (x.abs() < 3)


class Scale(torch.autograd.Function):
    """In the newer form, with setup_context."""

    @staticmethod
    def forward(x: Tensor, factor: float) -> Tensor:
        return x * factor

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        context.factor = inputs[1]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(Scale.apply(Straight.apply(self.inner(x)), 0.5))


def own_functions() -> dict[str, Any]:
    model, losses = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(6):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "model": model}


@pytest.mark.parametrize("level", LEVELS)
def test_functions_with_a_gradient_of_their_own(level: str) -> None:
    watch, made = twice(own_functions, level)
    assert losses_of(watch) == made["losses"]
    assert len(watch.record.subjects("grad_norm")) == 4
    operators = [str(node) for node in watch.graph(0).nodes]
    assert any("Straight" in text for text in operators)
