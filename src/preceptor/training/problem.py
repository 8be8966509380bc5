"""A problem: everything that one optimisation step needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.catalogue.augmentations import Pipeline
from preceptor.data.batches import Batches
from preceptor.tasks import Task
from preceptor.training.regularization import Regularization

__all__ = ["Predictor", "Problem"]

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(kw_only=True)
class Predictor:
    """What a prediction needs, and the judgement of one.

    Attributes:
        model: maps a batch of inputs to outputs.
        task: knows what outputs and targets mean, and measures them.
        criterion: mean loss of (outputs, targets) as the task aligns them.
        precision: ``"fp32"``, or autocast to ``"bf16"`` or ``"fp16"`` (with loss scaling in training).
        device: where it all lies.
        augment: what inputs go through before the model, at random in training and always alike otherwise.
    """

    model: nn.Module
    task: Task
    criterion: Callable[[Tensor, Tensor], Tensor]
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    augment: Pipeline | None = None

    def forward(self, x: Any) -> Tensor:
        """Return the model's outputs for a batch of inputs, in the chosen precision."""
        model = self.model if self.augment is None else partial(self.augment.outputs, self.model)
        if self.precision == "fp32":
            return model(x)  # type: ignore[no-any-return]
        with torch.autocast(self.device.type, _HALF[self.precision]):
            return model(x)  # type: ignore[no-any-return]

    def loss(self, x: Any, y: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        return self.judge(self.forward(x), y)

    def judge(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of a batch of outputs.

        Raises:
            ModelError: the outputs do not fit the targets.
        """
        aligned = self.task.align(output, y)
        try:
            return self.criterion(*aligned)
        except (IndexError, RuntimeError, ValueError):
            self.task.check(output, y)  # says so where it is the fault of labels out of range
            raise


@dataclass(kw_only=True)
class Problem(Predictor):
    """Model, loss, optimizer, schedule, batches, and what counts as better.

    Attributes:
        optimizer: holds the model's parameters.
        train: the batches to learn from.
        probe: a fixed part of the training examples, to measure as validation is measured.
        val: the batches to validate on.
        scheduler: changes the learning rate.
        scheduler_steps: when the scheduler steps; with ``"metric"`` it is given the monitored value.
        monitor: the history key that decides which epoch is best.
        mode: whether smaller or larger is better.
        grad_accumulation: batches to one optimizer step; their gradient is that of one large batch.
        max_grad_norm: the gradient's norm is clipped to this.
        regularization: what acts on a step beside the loss.
        population: batches over which batch normalisation's statistics are recomputed before each measuring.
    """

    optimizer: Optimizer
    train: Batches
    probe: Batches | None = None
    val: Batches | None = None
    scheduler: LRScheduler | None = None
    scheduler_steps: Literal["step", "epoch", "metric"] = "step"
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    grad_accumulation: int = 1
    max_grad_norm: float | None = None
    regularization: Regularization | None = None
    population: Batches | None = None

    def __post_init__(self) -> None:
        self.scaler = torch.amp.GradScaler(self.device.type) if self.precision == "fp16" else None
        closure = inspect.signature(self.optimizer.step).parameters.get("closure")
        self.needs_closure = closure is not None and closure.default is inspect.Parameter.empty

    def loss(self, x: Any, y: Tensor) -> Tensor:
        """Return what is minimised on a batch: the mean loss, and what regularizers make of it."""
        if self.regularization is None:
            return super().loss(x, y)
        return self.regularization.loss(self, x, y)

    def seen(self, batches: Batches) -> Iterator[Any]:
        """Yield a pass of inputs as the model sees them in evaluation."""
        for x, _ in batches.epoch():
            yield x if self.augment is None else self.augment.eval().forward(x)

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])
