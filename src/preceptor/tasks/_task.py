"""What every task offers: checks, alignment of outputs with targets, predictions, meters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from preceptor.catalogue import entry, get
from preceptor.catalogue.losses import training_loss
from preceptor.catalogue.metrics import Metric, TopK
from preceptor.errors import ConfigError, ModelError
from preceptor.tasks.interval import bootstrap, wilson

__all__ = ["Task"]

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What is predicted, and how raw outputs of a model are judged.

    Attributes:
        name: ``"classification"`` or ``"regression"``.
        loss: a name of the catalogue; ``"auto"`` takes the task's own.
        metrics: names of the catalogue as history keys (``"macro_f1"``), the headline measure first; empty
        takes the task's own.
    """

    name: ClassVar[str]
    suits: ClassVar[frozenset[str]]

    loss: str = "auto"
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        loss = self._default_loss() if self.loss == "auto" else self.loss
        found = {"loss": [training_loss(loss)]}
        found["metric"] = [entry(m, "metric") for m in self.metrics or self._default_metrics()]
        for kind, entries in found.items():
            for e in entries:
                if e.traits.get("targets") not in (None, *self.suits):
                    raise ConfigError(
                        f"the {kind} {e.name!r} does not suit {self.name}",
                        expected=f"a {kind} for {' or '.join(sorted(self.suits))}",
                        received=f"{e.name!r}, for {e.traits['targets']}",
                        hint=f"{kind} {self._default_loss()!r}" if kind == "loss" else None,
                    )
        object.__setattr__(self, "loss", found["loss"][0].name)
        object.__setattr__(self, "metrics", tuple(e.name.replace("-", "_") for e in found["metric"]))

    @abstractmethod
    def _default_loss(self) -> str: ...

    @abstractmethod
    def _default_metrics(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Width of the output layer."""

    @property
    def output_unit(self) -> str:
        """The output unit that turns raw outputs into predictions: softmax, sigmoid or identity."""
        return str(entry(self.loss, "loss").traits.get("output_unit", "identity"))

    def check(self, output: Any, target: Tensor) -> None:
        """Check that a batch of raw outputs fits its targets; reads the targets, so it waits for the device.

        Raises:
            ModelError: the output is no tensor, has another number of examples or outputs than needed, or the
                targets have a wrong dtype, shape or range.
        """
        if not isinstance(output, Tensor):
            raise ModelError(
                "the model's output is not a tensor",
                expected="one tensor of raw outputs, a row for each example",
                received=_described(output),
                hint="return the raw outputs alone from forward",
            )
        if not output.is_floating_point():
            raise ModelError(
                "the model's output has no floating-point dtype",
                expected="float32 raw outputs",
                received=f"{output.dtype} of shape {tuple(output.shape)}",
                hint="return the raw outputs, not the class that was chosen",
            )
        if output.ndim == 0 or len(output) != len(target):
            raise ModelError(
                "the model's output has a wrong batch size",
                expected=f"{len(target)} rows, one for each example of the batch",
                received=f"output of shape {tuple(output.shape)}",
                hint="keep the first axis of the input: flatten with nn.Flatten(), reduce over later axes "
                "only",
            )
        self._check_output(output)
        self.check_targets(target)

    @abstractmethod
    def _check_output(self, output: Tensor) -> None: ...

    @abstractmethod
    def check_targets(self, target: Tensor) -> None:
        """Check the targets alone: dtype, shape and range.

        Raises:
            ModelError: the targets do not suit the task.
        """

    @abstractmethod
    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets in the shapes and dtypes that the loss takes; never broadcasts.

        Outputs in half precision become float32, so that the loss keeps its digits.

        Raises:
            ModelError: the two shapes cannot belong together.
        """

    @abstractmethod
    def predict(self, output: Tensor) -> Tensor:
        """Return the prediction for each row of raw outputs."""

    @abstractmethod
    def probabilities(self, output: Tensor) -> Tensor | None:
        """Return the probability of each class, (N, K); None where there are no classes."""

    def meters(self, of: Any = None) -> dict[str, Metric]:
        """Return a new metric for each name in ``metrics``; they take raw outputs and targets.

        Arguments:
            of: the batches that are measured, for measures that depend on where they come from.
        """
        return {name: self._meter(name) for name in self.metrics}

    def _meter(self, name: str) -> Metric:
        made: Metric = get(name, kind="metric")
        return made

    def example_losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each example's own loss, (N,): the largest are the worst predictions."""
        each: Tensor = get(self.loss, kind="loss", reduction="none")(*self.align(output, target))
        return each.reshape(len(output), -1).mean(1)

    def counted(self, target: Tensor) -> int:
        """Return how many terms the mean loss of a batch is over: its examples, unless some do not count."""
        return len(target)

    def told(self, settings: Any) -> Task:
        """Return the task with what the settings of the data say of it; by default as it is."""
        return self

    def fitted(self, output: Tensor, target: Tensor) -> Mapping[str, Any]:
        """Return those fields of the task that are set on validation examples once training is over."""
        return {}

    def each_class(self, output: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
        """Return measures of each class by its name, from what `compact` returned; by default none."""
        return {}

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what of a batch `interval` needs, a row for each example; by default all of it."""
        return output, target

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return an interval for the headline measure: Wilson's for a share, else the percentile bootstrap.

        Arguments:
            output: with the targets, what `compact` returned for each batch, one after the other.
            target: as many rows.
            level: probability that such intervals cover the true value.

        Raises:
            DataError: there are no examples.
        """
        meter = self._meter(self.metrics[0])
        if not isinstance(meter, TopK) or not len(target):
            return bootstrap(lambda: self._meter(self.metrics[0]), output, target, level=level)
        meter.update(output, target)
        share = meter.compute()
        if math.isnan(share):
            return share, share
        return wilson(round(share * len(target)), len(target), level)

    def _mismatch(self, output: Tensor, target: Tensor, expected: str) -> ModelError:
        return ModelError(
            "outputs and targets do not belong together",
            expected=expected,
            received=f"output {tuple(output.shape)}, target {tuple(target.shape)}",
            hint="the first axis counts examples, the second one outputs",
        )


def widened(output: Tensor) -> Tensor:
    """Return outputs in half precision as float32, others as they are."""
    return output.float() if output.dtype in _HALF else output


def _described(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        inner = ", ".join(
            f"tensor {tuple(o.shape)}" if isinstance(o, Tensor) else type(o).__name__ for o in output[:4]
        )
        return f"{type(output).__name__} of {len(output)}: {inner}"
    if isinstance(output, dict):
        return f"dict with {', '.join(map(repr, list(output)[:6]))}"
    return type(output).__name__
