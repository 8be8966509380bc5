"""Ways to make a step: without modules, scaled, accumulated, checkpointed, by closure: replayed exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Step = Callable[[], list[Tensor]]
Case = Step | tuple[Any, ...]  # a step, or what is trained and its loss (see the fixture)


def without_modules() -> Case:
    w1, b1 = torch.randn(4, 8, requires_grad=True), torch.zeros(8, requires_grad=True)
    w2 = torch.randn(8, 1, requires_grad=True)
    data, target = torch.randn(50, 4), torch.randn(50, 1)

    def step() -> list[Tensor]:
        rows = torch.randperm(50)[:10]
        loss = (((data[rows] @ w1 + b1).clamp(min=0) @ w2 - target[rows]) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w1, b1, w2):
                p -= 0.05 * p.grad
                p.grad.zero_()
        return [loss, w1, b1, w2]

    return step


def update_through_data() -> Case:
    w = torch.randn(4, 1, requires_grad=True)

    def step() -> list[Tensor]:
        loss = (torch.randn(6, 4) @ w).square().mean()
        loss.backward()
        w.data -= 0.1 * w.grad.data
        w.grad = None
        return [loss, w]

    return step


class SoftClip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        denominator = scale + x.abs()
        ctx.save_for_backward(denominator)
        return x / denominator

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient / ctx.saved_tensors[0] ** 2, None


def custom_function() -> Case:
    layer = nn.Linear(5, 5)
    return (layer, lambda: SoftClip.apply(layer(torch.randn(3, 5)), 1.5).square().sum())


def gradient_penalty() -> Case:
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss() -> Tensor:
        x = torch.randn(6, 2, requires_grad=True)
        mixed = (0.3 * torch.randn(6, 2) + 0.7 * x.detach()).requires_grad_()
        out = critic(mixed)
        (slope,) = torch.autograd.grad(out, mixed, torch.ones_like(out), create_graph=True)
        return critic(x).mean() + 10 * (slope.norm(2, dim=1) - 1).square().mean()

    return (critic, loss)


def autocast() -> Case:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def loss() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(torch.randn(9, 6))
            assert out.dtype == torch.bfloat16
            return functional.cross_entropy(out, torch.randint(0, 3, (9,)))

    return (model, loss)


def scaled_loss() -> Case:
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step() -> list[Tensor]:
        optimizer.zero_grad()
        loss = model(torch.randn(5, 6)).square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        return [loss, *model.parameters()]

    return step


def accumulation() -> Case:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> list[Tensor]:
        losses = []
        for _ in range(3):
            loss = model(torch.randn(5, 4)).square().mean() / 3
            loss.backward()
            losses.append(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return [*losses, *model.parameters()]

    return step


def checkpointed(reentrant: bool) -> Case:
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))

    def loss() -> Tensor:
        x = torch.randn(5, 4, requires_grad=True)
        return checkpoint(model, x, use_reentrant=reentrant).square().mean()

    return (model, loss)


def checkpoint_reentrant() -> Case:
    return checkpointed(True)


def checkpoint_non_reentrant() -> Case:
    return checkpointed(False)


def closure() -> Case:
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    x, y = torch.randn(20, 3), torch.randn(20, 1)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    def step() -> list[Tensor]:
        loss = optimizer.step(evaluate)
        return [loss, *model.parameters()]

    return step


@pytest.mark.parametrize(
    "build",
    [
        without_modules,
        update_through_data,
        custom_function,
        gradient_penalty,
        autocast,
        scaled_loss,
        accumulation,
        checkpoint_reentrant,
        checkpoint_non_reentrant,
        closure,
    ],
)
def test_the_step_is_undisturbed_and_its_replay_is_exact(
    build: Callable[[], Case], exact: Callable[[Callable[[], Case]], None]
) -> None:
    exact(build)
