"""A problem: everything that one optimisation step needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.catalogue.augmentations import Pipeline
from preceptor.catalogue.layers import AuxiliaryHead, auxiliary_outputs
from preceptor.data.batches import Batch, Batches
from preceptor.tasks import Task
from preceptor.training.carry import Carried
from preceptor.training.features import Features
from preceptor.training.regularization import Regularization
from preceptor.training.shares import Share
from preceptor.training.tiling import Tiling

if TYPE_CHECKING:
    from preceptor.training.distribution import Distribution
    from preceptor.training.sharding import Sharded
    from preceptor.training.speed import Speed
    from preceptor.training.transfer import Transfer

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
        tiling: how whole images go through a model with outputs smaller than its inputs, but in training.
        carried: what hands a state on from batch to batch along a text; None where each stands for itself.
    """

    model: nn.Module
    task: Task
    criterion: Callable[[Tensor, Tensor], Tensor]
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    augment: Pipeline | None = None
    tiling: Tiling | None = None
    carried: Carried | None = None

    def forward(self, x: Any) -> Tensor:
        """Return the model's outputs for a batch of inputs, in the chosen precision."""
        if isinstance(x, Features):
            return self.in_precision(x.tail, x.values)
        network = self.network
        if self.carried is not None:
            return self.in_precision(partial(self.carried, network), x)
        model = network if self.augment is None else partial(self.augment.outputs, network)
        if self.tiling is not None and not self.model.training:
            return self.tiling(partial(self.in_precision, model), x)
        return self.in_precision(model, x)

    @property
    def network(self) -> nn.Module:
        """What maps inputs to outputs: the model."""
        return self.model

    def afresh(self) -> AbstractContextManager[None]:
        """Let a text begin anew for the length of a block; a state that was carried goes on behind it."""
        return nullcontext() if self.carried is None else self.carried.apart()

    def in_precision(self, function: Callable[[Any], Tensor], x: Any) -> Tensor:
        """Return a function of a batch, in the chosen precision."""
        if self.precision == "fp32":
            return function(x)
        with torch.autocast(self.device.type, _HALF[self.precision]):
            return function(x)

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
        compiled: what takes the model's place in training mode: the model as torch.compile makes it.
        speed: what is computed in, and why.
        distribution: the processes that take each step together; None for a process alone.
        sharded: what holds the weights in parts on the processes.
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
    transfer: Transfer | None = None
    compiled: nn.Module | None = None
    speed: Speed | None = None
    distribution: Distribution | None = None
    sharded: Sharded | None = None

    def __post_init__(self) -> None:
        self.scaler = torch.amp.GradScaler(self.device.type) if self.precision == "fp16" else None
        closure = inspect.signature(self.optimizer.step).parameters.get("closure")
        self.needs_closure = closure is not None and closure.default is inspect.Parameter.empty
        self.heads = any(isinstance(module, AuxiliaryHead) for module in self.model.modules())

    @property
    def network(self) -> nn.Module:
        """What maps inputs to outputs: the model; in training mode compiled, where that was asked for."""
        return self.compiled if self.compiled is not None and self.model.training else self.model

    def begin_epoch(self, epoch: int, *, again: bool = False) -> None:
        """Put the model into training mode, but for what is frozen in that epoch, counted from 1.

        A state that is carried along a text begins anew, unless the epoch goes on (``again``).
        """
        self.model.train()
        if self.carried is not None and not again:
            self.carried.reset()
        if self.transfer is not None and self.transfer.freezing is not None:
            self.transfer.freezing.at(epoch)
            if self.regularization is not None:
                self.regularization.spare_frozen()

    def loss(self, x: Any, y: Tensor) -> Tensor:
        """Return what is minimised on a batch: the mean loss, and what heads and regularizers make of it."""
        if self.regularization is not None:
            return self.regularization.loss(self, x, y)
        if self.heads:
            return self.with_heads(self.forward(x), lambda output: self.judge(output, y))
        return super().loss(x, y)

    def with_heads(self, output: Tensor, judge: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the loss of the model's output, and by their weights those of its auxiliary heads."""
        loss = judge(output)
        for weight, extra in auxiliary_outputs(self.model) if self.heads else ():
            loss = loss + weight * judge(extra)
        return loss

    def counted(self, batch: Batch) -> int:
        """Return how many terms the mean loss of a batch is over, in all processes together."""
        return batch.whole if isinstance(batch, Share) else self.task.counted(batch[1])

    def share(self, batch: Batch, terms: int) -> float:
        """Return the share of a batch in a step of so many terms, as the mean over processes counts it."""
        own = batch.weight if isinstance(batch, Share) else self.task.counted(batch[1])
        return own / terms if terms else 1.0

    def seen(self, batches: Batches) -> Iterator[Any]:
        """Yield a pass of inputs as the model sees them in evaluation."""
        for x, _ in batches.epoch():
            yield x if self.augment is None else self.augment.eval().forward(x)

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])
