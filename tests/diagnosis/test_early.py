"""Faults that follow from calls, types and structure alone are named after two steps of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.diagnosis.diagnose import diagnose
from preceptor.observation.watch import Watch

N = 24
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
Model = Callable[[], nn.Module]


def net(*tail: nn.Module, outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, outputs), *tail)


def sgd(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.05, **options})


def entropy(model: nn.Module) -> Tensor:
    return functional.cross_entropy(model(X), Y)


@dataclass
class Program:
    """A tiny training: how its model, its optimizer and its loss are made, and what a step does."""

    model: Model = net
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = sgd
    loss: Callable[[nn.Module], Tensor] = entropy
    step: Callable[[Program, nn.Module, torch.optim.Optimizer], None] = field(
        default=lambda self, model, optimizer: usual(self, model, optimizer)
    )
    steps: int = 2

    def run(self) -> list[str]:
        """Train under a watch, and return the alarms that are given while the run goes on."""
        torch.manual_seed(0)
        model = self.model()
        with Watch() as watch:
            optimizer = self.optimizer(model)
            for _ in range(self.steps):
                self.step(self, model, optimizer)
        failed: list[str] = []
        found = diagnose(watch.observed, over=False, complain=failed.append)
        assert failed == []
        assert not [note for note in watch.observed.notes if "error" in note]
        return [finding.cause for finding in found if finding.severity != "info"]


def usual(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    program.loss(model).backward()
    optimizer.step()


# ---------------------------------------------------------------------- the order of calls


def without_zero_grad(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    program.loss(model).backward()
    optimizer.step()


def cleared_before_the_step(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    program.loss(model).backward()
    optimizer.zero_grad()
    optimizer.step()


def without_backward(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    program.loss(model)
    optimizer.step()


SCALER: dict[str, torch.amp.GradScaler] = {}


def clipped_while_scaled(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    scaler = SCALER.setdefault("now", torch.amp.GradScaler("cpu"))
    optimizer.zero_grad()
    scaler.scale(program.loss(model)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()


def evaluated_in_training_mode(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    usual(program, model, optimizer)
    with torch.no_grad():
        functional.cross_entropy(model(X[:8]), Y[:8])


def built_each_time(program: Program, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    usual(program, model, torch.optim.Adam(model.parameters(), lr=0.01))


# ---------------------------------------------------------------------- models


class Lists(nn.Module):
    """Keeps its layers in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(6, 32), nn.Linear(32, 32)]
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


class Turned(nn.Module):
    """Views (samples, steps, features) as (steps, samples, features)."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(2, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x.reshape(N, 3, 2).reshape(3, N, 2))[0][-1])


class Between(nn.Module):
    """Two layers, and a function between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.head, self.between = nn.Linear(6, 24), nn.Linear(24, 2), between

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.first(x)).relu())


class Twin(nn.Module):
    """Calls one layer twice and its twin never."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 24), nn.Linear(24, 24)
        self.third, self.head = nn.Linear(24, 24), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu()
        return self.head(self.second(x).relu())


def frozen() -> nn.Module:
    model = net()
    model[0].requires_grad_(False)
    return model


def zeros() -> nn.Module:
    model = net()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


EARLY: dict[str, tuple[str, Program]] = {
    "no zero_grad": ("missing-zero-grad", Program(step=without_zero_grad)),
    "zero_grad before step": ("missing-backward", Program(step=cleared_before_the_step)),
    "no backward": ("missing-backward", Program(step=without_backward)),
    "negative loss": ("gradient-ascent", Program(loss=lambda model: -entropy(model))),
    "maximize": ("gradient-ascent", Program(optimizer=lambda model: sgd(model, maximize=True))),
    "softmax into cross_entropy": ("probabilities-as-logits", Program(lambda: net(nn.Softmax(dim=1)))),
    "sigmoid into its logits": (
        "probabilities-as-logits",
        Program(
            lambda: net(nn.Sigmoid(), outputs=1),
            loss=lambda model: functional.binary_cross_entropy_with_logits(model(X), Y[:, None].float()),
        ),
    ),
    "logits into nll_loss": (
        "logits-as-probabilities",
        Program(loss=lambda model: functional.nll_loss(model(X), Y)),
    ),
    "softmax over samples": (
        "wrong-softmax-dim",
        Program(lambda: net(nn.LogSoftmax(dim=0)), loss=lambda model: functional.nll_loss(model(X), Y)),
    ),
    "(N, 1) against (N,)": (
        "broadcast-in-loss",
        Program(lambda: net(outputs=1), loss=lambda model: functional.mse_loss(model(X), X[:, 0])),
    ),
    "layers in a list": ("parameters-not-optimized", Program(Lists)),
    "another model's parameters": ("parameters-not-optimized", Program(optimizer=lambda model: sgd(net()))),
    "frozen at random": ("frozen-parameters", Program(frozen)),
    "detached output": (
        "detached-graph",
        Program(loss=lambda model: functional.cross_entropy(model(X).detach().requires_grad_(), Y)),
    ),
    "detached within": ("detached-graph", Program(lambda: Between(lambda h: h.detach()))),
    "evaluation mode": ("evaluation-mode-in-training", Program(lambda: net().eval())),
    "no eval()": ("training-mode-in-evaluation", Program(step=evaluated_in_training_mode)),
    "clipped while scaled": ("clip-before-unscale", Program(step=clipped_while_scaled)),
    "no activation": (
        "missing-nonlinearity",
        Program(lambda: nn.Sequential(nn.Linear(6, 24), nn.Linear(24, 2))),
    ),
    "view for transpose": ("wrong-reshape", Program(Turned)),
    "one layer twice": ("shared-module", Program(Twin)),
    "all zero": ("bad-initialization", Program(zeros)),
    "NaN in the data": (
        "invalid-values-in-data",
        Program(loss=lambda model: functional.cross_entropy(model(torch.where(X > 2, torch.nan, X)), Y)),
    ),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", EARLY)
def test_it_is_named_after_two_steps(name: str) -> None:
    cause, program = EARLY[name]
    assert cause in program.run()


def test_a_sound_program_is_silent_after_two_steps() -> None:
    assert Program().run() == []
    assert Program(optimizer=lambda model: torch.optim.Adam(model.parameters())).run() == []
    assert Program(steps=1).run() == []


@pytest.mark.slow
def test_what_takes_longer() -> None:
    # Optimizers are built again in searches and on clients, too; ten on one line for one model are a habit.
    assert "optimizer-state-lost" not in Program(step=built_each_time, steps=8).run()
    assert "optimizer-state-lost" in Program(step=built_each_time, steps=11).run()
