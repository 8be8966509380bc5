"""A training program in pieces that can be exchanged, its run under a watch, and how good it got.

A `Problem` is what a person writes down: data, model, loss, optimizer, loop. A plant exchanges one piece for
a faulty one. The loops are those of the tutorials, so that what a watch sees is an ordinary program.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch

Parameters = Iterator[nn.Parameter]


@dataclass
class Split:
    """Training and validation samples."""

    x: Tensor
    y: Tensor
    val_x: Tensor
    val_y: Tensor

    def map(self, train: Callable[[Tensor], Tensor], val: Callable[[Tensor], Tensor] | None = None) -> Split:
        """Return it with other inputs; both parts alike unless ``val`` is given."""
        return replace(self, x=train(self.x), val_x=(val or train)(self.val_x))


@dataclass(frozen=True)
class Problem:
    """A training program.

    Arguments:
        name: of the healthy program, for tables.
        data: from a seed.
        model, loss, optimizer, schedule: built when the run begins; ``schedule_every`` "epoch" or "batch".
        step: one training step: all between a batch and the next.
        evaluate: one pass over the validation samples.
        fit: the whole loop.
        loaders: the loaders of both parts.
        prepare: changes to the run before the loop, such as freezing.
        task: how the result is measured: share of right classes, or explained variance.
    """

    name: str
    data: Callable[[int], Split]
    model: Callable[[], nn.Module]
    loss: Callable[[], Callable[[Tensor, Tensor], Tensor]]
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    step: Callable[[Run, Tensor, Tensor], None]
    evaluate: Callable[[Run], float]
    fit: Callable[[Run], None]
    loaders: Callable[[Run], tuple[DataLoader, DataLoader]]
    batch_size: int = 32
    epochs: int = 10
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    schedule_every: str = "epoch"
    prepare: Callable[[Run], None] = lambda run: None
    task: str = "classes"

    def but(self, **changes: Any) -> Problem:
        """Return it with some pieces exchanged."""
        return replace(self, **changes)


class Run:
    """A problem with its live parts; what a script would hold in its variables."""

    def __init__(self, problem: Problem, seed: int) -> None:
        torch.manual_seed(seed)
        self.problem = problem
        self.split = problem.data(seed)
        self.model = problem.model()
        self.loss = problem.loss()
        self.optimizer = problem.optimizer(self.model)
        self.schedule = problem.schedule(self.optimizer) if problem.schedule else None
        self.train_loader, self.val_loader = problem.loaders(self)
        self.scaler = torch.amp.GradScaler("cpu")
        self.kept: Any = None


# ---------------------------------------------------------------------------------------------- loops


def loaders(run: Run) -> tuple[DataLoader, DataLoader]:
    split, size = run.split, run.problem.batch_size
    train = DataLoader(TensorDataset(split.x, split.y), batch_size=size, shuffle=True)
    return train, DataLoader(TensorDataset(split.val_x, split.val_y), batch_size=256)


def fit(run: Run) -> None:
    for _ in range(run.problem.epochs):
        run.model.train()
        for x, y in run.train_loader:
            run.problem.step(run, x, y)
            if run.schedule is not None and run.problem.schedule_every == "batch":
                run.schedule.step()
        if run.schedule is not None and run.problem.schedule_every == "epoch":
            run.schedule.step()
        run.problem.evaluate(run)


def step(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward()
    run.optimizer.step()


def step_late(run: Run, x: Tensor, y: Tensor) -> None:
    """Gradients are cleared just before the backward pass."""
    output = run.model(x)
    loss = run.loss(output, y)
    run.optimizer.zero_grad(set_to_none=False)
    loss.backward()
    run.optimizer.step()


def step_clipped(run: Run, x: Tensor, y: Tensor) -> None:
    run.optimizer.zero_grad()
    loss = run.loss(run.model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()


def step_scaled(run: Run, x: Tensor, y: Tensor) -> None:
    """Forward pass in half precision, loss scaled."""
    run.optimizer.zero_grad()
    with torch.autocast("cpu", torch.float16):
        loss = run.loss(run.model(x), y)
    run.scaler.scale(loss).backward()
    run.scaler.unscale_(run.optimizer)
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.scaler.step(run.optimizer)
    run.scaler.update()


def evaluate_classes(run: Run) -> float:
    run.model.eval()
    total = right = 0.0
    with torch.no_grad():
        for x, y in run.val_loader:
            output = run.model(x)
            total += run.loss(output, y).item() * len(x)
            right += (output.argmax(dim=1) == y).sum().item()
    return right / len(run.split.val_x)


def evaluate_signs(run: Run) -> float:
    run.model.eval()
    right = 0.0
    with torch.no_grad():
        for x, y in run.val_loader:
            output = run.model(x)
            right += ((output > 0) == (y > 0.5)).sum().item()
    return right / len(run.split.val_x)


def evaluate_values(run: Run) -> float:
    run.model.eval()
    with torch.no_grad():
        losses = [run.loss(run.model(x), y).item() for x, y in run.val_loader]
    return sum(losses) / len(losses)


# ---------------------------------------------------------------------------------------------- running


def kept(problem: Problem, seed: int) -> Watch:
    """Run a program under a watch that keeps steps for trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Watch(trials=True) as watch:
            trained = Run(problem, seed)
            problem.prepare(trained)
            problem.fit(trained)
    return watch


def run(problem: Problem, seed: int, watched: bool = True) -> tuple[Observed | None, Run]:
    """Run a program from a seed; warnings that its fault gives are nobody's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Watch() if watched else nullcontext() as watch:
            trained = Run(problem, seed)
            problem.prepare(trained)
            problem.fit(trained)
    return (watch.observed if watch is not None else None), trained


def quality(trained: Run, split: Split | None = None) -> float:
    """Return how good a trained model is on clean validation samples: 1 is perfect, 0 (or less) is nothing.

    Classes: the share that is right. Values: explained variance, 1 − E[(y − ŷ)²] / Var[y], at least −1.
    """
    split = split or trained.split
    trained.model.float().eval()
    with torch.no_grad():
        output = trained.model(split.val_x)
    if trained.problem.task == "letters":
        return (output.argmax(dim=-1) == split.val_y).float().mean().item()
    if trained.problem.task == "signs":
        return ((output > 0) == (split.val_y > 0.5)).float().mean().item()
    if trained.problem.task == "classes":
        named = output.argmax(dim=1) if output.shape[-1] > 1 else output.flatten().round()
        return (named == split.val_y).float().mean().item()
    if trained.problem.task == "probabilities":
        output = torch.sigmoid(output)
    target = split.val_y.float().reshape(len(output), -1)
    left = functional.mse_loss(output.reshape(len(output), -1), target) / target.var(dim=0).mean()
    return max(-1.0, 1 - left.item()) if torch.isfinite(left) else -1.0
