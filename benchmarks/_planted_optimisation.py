"""Plants of the family 'optimisation': how far, how often and in which direction the weights are moved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from _planted_hosts import (
    AUTOENCODER,
    AUTOENCODER_SGD,
    CNN,
    CNN_SGD,
    CNN_VALUES,
    MLP,
    MLP_SGD,
    REGRESSION,
    REGRESSION_SGD,
    RNN,
    RNN_SGD,
    SPIKY,
    STEEP,
    TRANSFORMER,
    WAVES,
    adam,
    adamw,
    sgd,
)
from _planted_plant import Plant, exchanged, plants
from _planted_problem import Problem, Run

Optimizer = torch.optim.Optimizer
Edit = Callable[[Problem], Problem]


def rate(factor: float) -> Edit:
    """Multiply the learning rate."""

    def edit(problem: Problem) -> Problem:
        def build(model: nn.Module) -> Optimizer:
            optimizer = problem.optimizer(model)
            for group in optimizer.param_groups:
                group["lr"] *= factor
            return optimizer

        return problem.but(optimizer=build)

    return edit


def built_by(kind: type[Optimizer], **options: Any) -> Edit:
    return exchanged(optimizer=lambda model: kind(model.parameters(), **options), schedule=None)


def step_lbfgs(run: Run, x: Tensor, y: Tensor) -> None:
    def closure() -> Tensor:
        run.optimizer.zero_grad()
        loss = run.loss(run.model(x), y)
        loss.backward()
        return loss

    run.optimizer.step(closure)


def step_unclipped(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.step()


def step_hardly(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1e-3)
    run.optimizer.step()


def step_uphill(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = -run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.step()


def step_anew(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer = run.problem.optimizer(run.model)
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.step()


def step_undivided(run: Run, x: Tensor, y: Tensor) -> None:
    """Eight samples at a time, and their means added instead of averaged."""
    run.optimizer.zero_grad()
    for part, targets in zip(x.split(2), y.split(2), strict=True):
        run.loss(run.model(part), targets).backward()
    run.optimizer.step()


def fading(factor: float) -> Edit:
    """A decay that is meant for epochs, called at every batch."""
    return exchanged(
        schedule=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=factor),
        schedule_every="batch",
    )


def falling(optimizer: Optimizer) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.1)


def summed(kind: type[nn.Module]) -> Edit:
    return exchanged(loss=partial(kind, reduction="sum"))


PLANTS: list[Plant] = [
    *plants("learning-rate-too-high", "rate × 300", rate(300), MLP, CNN, RNN, AUTOENCODER),
    *plants("learning-rate-too-high", "rate × 100", rate(100), TRANSFORMER, MLP_SGD, CNN_SGD, REGRESSION_SGD),
    *plants(
        "learning-rate-too-low",
        "rate ÷ 3000",
        rate(1 / 3000),
        *(MLP, CNN_SGD, RNN, TRANSFORMER, AUTOENCODER, REGRESSION),
    ),
    *plants(
        "unsuitable-optimizer",
        "L-BFGS on mini-batches",
        lambda p: p.but(
            optimizer=lambda model: torch.optim.LBFGS(model.parameters()),
            step=step_lbfgs,
            epochs=2,
            schedule=None,
        ),
        *(MLP, AUTOENCODER, REGRESSION),
    ),
    *plants(
        "unsuitable-optimizer",
        "Rprop on mini-batches",
        built_by(torch.optim.Rprop, lr=0.01),
        *(MLP, CNN, AUTOENCODER),
    ),
    *plants(
        "unsuitable-optimizer",
        "SGD without momentum, rate 0.01",
        built_by(torch.optim.SGD, lr=0.01),
        *(RNN, TRANSFORMER),
        also=("learning-rate-too-low", "too-few-epochs"),
    ),
    *plants(
        "unsuitable-optimizer",
        "AdaGrad, rate 0.001",
        built_by(torch.optim.Adagrad, lr=0.001),
        *(RNN, AUTOENCODER),
        also=("learning-rate-too-low", "too-few-epochs"),
    ),
    *plants(
        "too-few-epochs",
        "one epoch",
        exchanged(epochs=1),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER, REGRESSION),
    ),
    *plants(
        "unsuitable-batch-size",
        "all samples in one batch",
        exchanged(batch_size=4096, schedule=None),
        *(MLP, CNN, RNN, TRANSFORMER, AUTOENCODER),
        also=("too-few-epochs",),
    ),
    *plants(
        "unsuitable-batch-size",
        "batches of one sample, rate as for thirty-two",
        exchanged(batch_size=1, epochs=1),
        MLP_SGD,
        also=("learning-rate-too-high",),
    ),
    *plants(
        "weight-decay-too-strong",
        "weight_decay=0.3 in Adam",
        exchanged(optimizer=partial(adam, weight_decay=0.3)),
        *(MLP, CNN, RNN, AUTOENCODER),
    ),
    *plants(
        "weight-decay-too-strong",
        "weight_decay=0.5 in SGD",
        exchanged(optimizer=partial(sgd, weight_decay=0.5)),
        *(MLP_SGD, CNN_SGD),
    ),
    *plants(
        "weight-decay-too-strong",
        "weight_decay=30 in AdamW",
        exchanged(optimizer=partial(adamw, weight_decay=30.0)),
        TRANSFORMER,
    ),
    *plants(
        "missing-gradient-clipping",
        "clip_grad_norm_ left out",
        exchanged(step=step_unclipped),
        *(WAVES, SPIKY, STEEP),
    ),
    *plants(
        "clipping-too-tight",
        "max_norm=0.001",
        exchanged(step=step_hardly),
        *(MLP_SGD, CNN_SGD, RNN_SGD, AUTOENCODER_SGD, REGRESSION_SGD),
    ),
    *plants(
        "scheduler-misuse",
        "ExponentialLR(0.9) stepped per batch",
        fading(0.9),
        *(MLP, CNN_SGD, RNN, TRANSFORMER, AUTOENCODER),
    ),
    *plants(
        "scheduler-misuse",
        "StepLR(3, 0.1) stepped per batch",
        exchanged(schedule=falling, schedule_every="batch"),
        *(MLP_SGD, RNN_SGD),
    ),
    *plants("loss-reduction", "reduction='sum'", summed(nn.CrossEntropyLoss), MLP_SGD, CNN_SGD),
    *plants("loss-reduction", "reduction='sum'", summed(nn.MSELoss), AUTOENCODER_SGD, REGRESSION_SGD),
    *plants(
        "loss-reduction",
        "sixteen backward passes a step, undivided",
        exchanged(step=step_undivided),
        *(MLP_SGD, RNN_SGD),
    ),
    *plants(
        "gradient-ascent",
        "loss = −loss",
        exchanged(step=step_uphill),
        *(MLP, CNN, RNN, AUTOENCODER),
        exact=True,
    ),
    *plants(
        "gradient-ascent",
        "maximize=True",
        lambda p: p.but(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3, maximize=True)),
        *(TRANSFORMER, CNN_VALUES),
        exact=True,
    ),
    *plants(
        "optimizer-state-lost",
        "the optimizer built at every step",
        exchanged(step=step_anew, schedule=None),
        *(MLP, CNN_SGD, RNN, TRANSFORMER, AUTOENCODER),
        exact=True,
    ),
]
