"""Where a training stands: all that is needed to go on as if it had never stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue.regularizers import GradientClipping
from preceptor.data import generators
from preceptor.errors import CheckpointError
from preceptor.training.clock import StepClock
from preceptor.training.history import History
from preceptor.training.layout import align_moments
from preceptor.training.problem import Problem

__all__ = ["RunningLoss", "State"]

_ROUNDING = 2**-21  # relative; a mean in float32 is hardly more exact
_FOLD = 512  # losses held on a GPU before it is asked for their values: each question waits for it


@dataclass
class RunningLoss:
    """The mean loss over an epoch's steps, asked of the device only now and then."""

    total: float = 0.0
    examples: int = 0
    broken: bool = False  # a loss was not finite
    pending: list[tuple[Tensor, int]] = field(default_factory=list)

    def add(self, loss: Tensor, examples: int) -> None:
        """Add a step's mean loss over that many examples."""
        if loss.device.type == "cpu":  # its value is there already
            self._add(loss.item(), examples)
            return
        self.pending.append((loss, examples))
        if len(self.pending) >= _FOLD:
            self.fold()

    def fold(self) -> None:
        """Fetch what is pending, in order: the sum must not depend on when that is done."""
        if self.pending:
            losses, sizes = zip(*self.pending, strict=True)
            self.pending.clear()
            for value, size in zip(torch.stack(losses).tolist(), sizes, strict=True):
                self._add(value, size)

    def _add(self, value: float, examples: int) -> None:
        self.total += value * examples
        self.examples += examples
        if not math.isfinite(value):
            self.broken = True

    @property
    def mean(self) -> float:
        """The mean over all examples so far; NaN before the first."""
        self.fold()
        return self.total / self.examples if self.examples else math.nan


@dataclass
class State:
    """What the loop knows and callbacks see; ``stop`` may be set to end the training.

    Attributes:
        problem: what is trained.
        epochs: how many are to be run.
        epoch: how many are complete.
        batch: batches of the current epoch that are used up.
        begun: whether the current epoch's order of examples has been drawn.
        step: optimizer steps taken.
        history: a row for each complete epoch.
        best: the best monitored value, and ``best_epoch`` that it came from.
        waited: epochs since then.
        stop: why the training ends; None while it goes on.
        loss: the latest step's mean loss, still on the device.
        exception: what left the loop, for ``on_exception``.
        notes: what was done otherwise than was asked for, and why.
        tell: hears of such a note at once.
    """

    problem: Problem
    epochs: int
    epoch: int = 0
    batch: int = 0
    begun: bool = False
    step: int = 0
    history: History = field(default_factory=History)
    best: float | None = None
    best_epoch: int | None = None
    best_weights: dict[str, Tensor] | None = None
    last_weights: dict[str, Tensor] | None = None
    waited: int = 0
    stop: str | None = None
    loss: Tensor | None = None
    lr: float | None = None  # of the latest step, where the schedule has moved on since
    running: RunningLoss = field(default_factory=RunningLoss)
    exception: BaseException | None = None
    forecast: float | None = None  # seconds an epoch takes, as foretold after the first
    parts: int = 1  # that each batch is taken in, to fit into memory
    notes: list[str] = field(default_factory=list)
    tell: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self.clock = StepClock(self.problem.device)
        self.restored: dict[str, Any] | None = None

    def note(self, text: str) -> None:
        """Tell what was done otherwise than was asked for."""
        self.notes.append(text)
        if self.tell is not None:
            self.tell(text)

    @cached_property
    def least(self) -> int:
        """How few examples the model can be shown at a time in training: two, for batch normalisation."""
        layers = self.problem.model.modules()
        return 2 if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers) else 1

    @cached_property
    def clip(self) -> GradientClipping | None:
        """What clips the gradients of the present epoch, and counts how many; None where nothing does."""
        limit = self.problem.max_grad_norm
        return None if limit is None else GradientClipping(limit)

    @property
    def estimated_seconds(self) -> float | None:
        """What the first epoch foretold for all epochs that were run."""
        return None if self.forecast is None else self.forecast * len(self.history)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do: all epochs are run, or it was decided to stop."""
        return self.epoch >= self.epochs or (self.stop is not None and self.stop != "interrupted")

    def snapshot(self) -> dict[str, Any]:
        """Return everything as a tree of plain data and tensors: weights, moments, counters, generators."""
        self.running.fold()
        p = self.problem
        return {
            "format": 1,
            "epoch": self.epoch,
            "batch": self.batch,
            "batch_size": p.train.batch_size,
            "begun": self.begun,
            "step": self.step,
            "history": self.history.rows,
            "best": {"value": self.best, "epoch": self.best_epoch, "weights": self.best_weights},
            "waited": self.waited,
            "lr": self.lr,
            "stop": self.stop,
            "parts": self.parts,
            "running": {"total": self.running.total, "examples": self.running.examples},
            "model": p.model.state_dict(),
            "optimizer": p.optimizer.state_dict(),
            "scheduler": p.scheduler.state_dict() if p.scheduler else None,
            "scaler": p.scaler.state_dict() if p.scaler else None,
            "batches": p.train.state_dict(),
            "generators": generators.capture(),
            "regularization": p.regularization.state_dict() if p.regularization else [],
            "clip": self.clip.state_dict() if self.clip else None,
            "carried": p.carried.state if p.carried else None,
        }

    def load(self, tree: dict[str, Any]) -> None:
        """Take over a snapshot; the loop then goes on from there.

        Raises:
            CheckpointError: it belongs to another model or optimizer.
        """
        p = self.problem
        try:
            p.model.load_state_dict(tree["model"])
            p.optimizer.load_state_dict(tree["optimizer"])
            align_moments(p.optimizer)
            if p.scheduler is not None:
                p.scheduler.load_state_dict(tree["scheduler"])
            if p.scaler is not None:
                p.scaler.load_state_dict(tree["scaler"])
            if p.regularization is not None:
                p.regularization.load_state_dict(tree["regularization"])
            if self.clip is not None and tree.get("clip"):
                self.clip.load_state_dict(tree["clip"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                "the checkpoint does not fit this model and optimizer",
                expected="the model and settings that the run was begun with",
                received=str(error),
            ) from error
        self.epoch, self.step = tree["epoch"], tree["step"]
        self.batch = tree["batch"]
        if tree["batch_size"] != p.train.batch_size:  # smaller ones, and more to a step, to fit into memory
            used = tree["batch"] * tree["batch_size"]
            self.batch = min(-(-used // p.train.batch_size), len(p.train))
        else:
            self.parts = tree.get("parts", 1)
            if p.carried is not None:  # columns of another number are other places of the text
                p.carried.load(tree.get("carried"), p.device)
        self.begun = tree["begun"]
        self.history = History(tree["history"])
        self.best, self.best_epoch = tree["best"]["value"], tree["best"]["epoch"]
        self.best_weights = tree["best"]["weights"]
        self.waited, self.lr = tree["waited"], tree["lr"]
        self.stop = None if tree["stop"] == "interrupted" else tree["stop"]
        self.running = RunningLoss(**tree["running"])
        self.restored = tree

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the model's present weights and buffers."""
        return {k: v.detach().clone() for k, v in self.problem.model.state_dict().items()}

    def improved(self, value: float | None, min_delta: float) -> bool:
        """Note an epoch's monitored value; say whether its weights are the best so far."""
        sign = 1 if self.problem.mode == "min" else -1
        if value is not None and math.isfinite(value):
            if self.best is None or sign * value < sign * self.best - min_delta:
                self.best, self.best_epoch, self.waited = value, self.epoch, 0
                return True
            # A line search never goes up: where float32 sees no difference, later is nearer the minimum.
            if self.problem.needs_closure and abs(value - self.best) <= _ROUNDING * abs(self.best):
                self.best_epoch, self.waited = self.epoch, self.waited + 1
                return True
        self.waited += 1
        return False
