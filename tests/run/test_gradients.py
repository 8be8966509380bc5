"""Accumulated batches give the gradient of one large batch; clipping is torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

import preceptor
from preceptor.training import State

from .conftest import Points, net


class Gradients(preceptor.Callback):
    """Keeps the gradient and the loss of every step."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []
        self.losses: list[float] = []
        self.examples: list[int] = []

    def on_batch_end(self, state: State) -> None:
        parameters = state.problem.model.parameters()
        self.steps.append(torch.cat([p.grad.flatten().clone() for p in parameters if p.grad is not None]))
        assert state.loss is not None
        self.losses.append(state.loss.item())


def close(a: Tensor, b: Tensor) -> float:
    """Return the distance relative to the length."""
    return float((a.double() - b.double()).norm() / b.double().norm())


def trained(points: Points, **given: Any) -> tuple[preceptor.Run, Gradients]:
    kept = Gradients()
    settings: dict[str, Any] = {
        "model": net, "data": (points.x, points.y), "optimizer": "sgd", "lr": 0.1, "epochs": 1, "val": 0,
        "test": 0, "out": False, "settings": {"training.restore_best": False}, **given,
    }  # fmt: skip
    return preceptor.train(callbacks=[kept], **settings), kept


def flat(run: preceptor.Run) -> Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


# Of 210 examples: batch size, batches a step. The last batch or group is uneven, or both are, or neither.
GROUPS = [(15, 2), (10, 3), (16, 2), (16, 3), (32, 4), (13, 5), (50, 7), (1, 210), (210, 1)]


@pytest.mark.parametrize(("size", "batches"), GROUPS)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulation_is_the_large_batch(points: Points, size: int, batches: int, clip: float | None) -> None:
    small, parts = trained(points, batch_size=size, grad_accumulation=batches, max_grad_norm=clip)
    large, whole = trained(points, batch_size=min(size * batches, 210), max_grad_norm=clip)
    assert len(parts.steps) == len(whole.steps) == -(-210 // (size * batches))
    for mine, theirs in zip(parts.steps, whole.steps, strict=True):
        assert close(mine, theirs) <= 1e-6
    assert parts.losses == pytest.approx(whole.losses, rel=1e-6)
    assert close(flat(small), flat(large)) <= 1e-6
    assert small.history[-1, "train_loss_running"] == pytest.approx(
        large.history[-1, "train_loss_running"], rel=1e-6
    )


@pytest.mark.parametrize("task", ["cross-entropy", "mse", "binary-cross-entropy"])
def test_for_every_kind_of_loss(points: Points, task: str) -> None:
    targets = {"cross-entropy": points.y, "mse": points.value, "binary-cross-entropy": points.y > 0}
    data, outputs = (points.x, targets[task]), 3 if task == "cross-entropy" else 1
    settings = {"val": 0, "test": 0, "out": False, "optimizer": "sgd", "lr": 0.05, "epochs": 1, "loss": task}
    runs = [
        preceptor.train(
            lambda: net(outputs), data, settings={"data.scale": "standard"}, **settings, **batches
        )
        for batches in ({"batch_size": 16, "grad_accumulation": 3}, {"batch_size": 48})
    ]
    assert close(flat(runs[0]), flat(runs[1])) <= 1e-6


class Exact(nn.Sequential):
    """Computes in float64, since a line search magnifies what float32 rounds away."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("size", [32, 100])
def test_for_an_optimizer_that_evaluates_several_times_a_step(
    points: Points, clip: float | None, size: int
) -> None:
    given = {
        "model": Exact,
        "optimizer": {"name": "l-bfgs", "max_iter": 4},
        "epochs": 2,
        "max_grad_norm": clip,
    }
    small, parts = trained(points, **given, batch_size=size, grad_accumulation=7)
    large, whole = trained(points, **given, batch_size="full")
    assert len(parts.steps) == len(whole.steps) == 2
    for mine, theirs in zip(parts.steps, whole.steps, strict=True):
        assert close(mine, theirs) <= 1e-6
    assert close(flat(small), flat(large)) <= 1e-6
    assert parts.losses[1] < parts.losses[0]


@pytest.mark.parametrize("norm", [1e-3, 0.05, 1e3])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_clipping_is_torchs(points: Points, norm: float, accumulation: int) -> None:
    run, kept = trained(points, batch_size=70, grad_accumulation=accumulation, max_grad_norm=norm, lr=0.0)
    _, free = trained(points, batch_size=70, grad_accumulation=accumulation, lr=0.0)
    for clipped, gradient in zip(kept.steps, free.steps, strict=True):
        expected = nn.Parameter(torch.zeros_like(gradient))
        expected.grad = gradient.clone()
        clip_grad_norm_([expected], norm)
        assert close(clipped, expected.grad) <= 1e-6
        assert clipped.norm() <= norm * (1 + 1e-6) or gradient.norm() <= norm
    assert run.status == "finished"


def test_running_loss_weighs_each_example_alike(points: Points) -> None:
    """The last batch is smaller: a mean over batches would count its examples more."""
    run, kept = trained(points, batch_size=64, lr=0.0)
    sizes = [64, 64, 64, 18]
    expected = sum(loss * size for loss, size in zip(kept.losses, sizes, strict=True)) / 210
    assert run.history[-1, "train_loss_running"] == pytest.approx(expected, rel=1e-7)
