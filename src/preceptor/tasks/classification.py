"""Classification: one of K exclusive classes for each example."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from preceptor.catalogue import entry
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks._task import Task, widened

__all__ = ["Classification"]


@dataclass(frozen=True)
class Classification(Task):
    """One of K classes, numbered 0…K−1.

    Two classes have one output by default, the logit of class 1, under binary cross-entropy; with
    ``loss="cross-entropy"`` they have two. More classes have one logit each.

    Attributes:
        classes: display names, at least two.

    Raises:
        DataError: fewer than two classes.
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> task = Classification(("cat", "dog", "fish"))
        >>> task.outputs, task.loss, task.output_unit, task.metrics
        (3, 'cross-entropy', 'softmax', ('accuracy', 'macro_f1'))
        >>> task.predict(torch.tensor([[0.1, 2.0, -1.0]]))
        tensor([1])
    """

    name: ClassVar[str] = "classification"
    suits: ClassVar[frozenset[str]] = frozenset({"categories", "binary"})

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.classes) < 2:
            raise DataError(
                "classification needs something to tell apart",
                expected="at least two classes",
                received=", ".join(self.classes) or "none",
                hint="check the target column, and the part of the data that was loaded",
            )
        super().__post_init__()
        if self.binary and len(self.classes) != 2:
            raise ConfigError(
                f"the loss {self.loss!r} tells two classes apart",
                expected="two classes",
                received=f"{len(self.classes)} classes",
                hint='loss "cross-entropy"',
            )

    def _default_loss(self) -> str:
        return "binary-cross-entropy" if len(self.classes) == 2 else "cross-entropy"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("accuracy", "macro_f1") + (("top5_accuracy",) if len(self.classes) > 5 else ())

    @cached_property
    def binary(self) -> bool:
        """Whether one output stands for two classes."""
        return entry(self.loss, "loss").traits.get("targets") == "binary"

    @property
    def outputs(self) -> int:
        """One for two classes under a binary loss, else the number of classes."""
        return 1 if self.binary else len(self.classes)

    def _check_output(self, output: Tensor) -> None:
        shape, k = tuple(output.shape), len(self.classes)
        if self.binary:
            if len(shape) == 1 or shape[1:] == (1,):
                return
            hint = (
                'loss="cross-entropy", or a last layer of width 1'
                if shape[1:] == (2,)
                else "a last layer of width 1"
            )
            raise ModelError(
                "the model's last layer has the wrong width",
                expected=f"width 1: one output (N,) or (N, 1) for two classes under {self.loss}",
                received=f"width {_width(shape)}: output {shape}",
                hint=hint,
            )
        if len(shape) != 2 or shape[1] != k:
            single = k == 2 and (len(shape) == 1 or shape[1:] == (1,))
            raise ModelError(
                "the model's last layer has the wrong width",
                expected=f"width {k}: output (N, {k}), one logit for each class",
                received=f"width {_width(shape)}: output {shape}",
                hint='loss="binary-cross-entropy"' if single else f"a last layer of width {k}",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are classes: integers (N,) from 0 to K−1.

        Raises:
            ModelError: another dtype, shape or range; the message shows the smallest and largest label.
        """
        if target.is_floating_point() or target.is_complex():
            raise ModelError(
                "the targets have a wrong dtype for classification",
                expected="integers: the class of each example",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
                hint="y.long() if they are class numbers; the task regression if they are measurements",
            )
        if target.ndim != 1 and target.shape[1:] != (1,):
            raise ModelError(
                "the targets have a wrong shape for classification",
                expected="(N,), one class for each example",
                received=str(tuple(target.shape)),
                hint="one-hot targets become classes by y.argmax(1)",
            )
        if not target.numel():
            return
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= len(self.classes):
            raise ModelError(
                "labels are out of range",
                expected=f"0…{len(self.classes) - 1}, for {len(self.classes)} classes",
                received=f"smallest {low}, largest {high}",
                hint="number the classes from 0 without gaps",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and classes (N,) int64; under a binary loss logits (N,) and floats (N,)."""
        output = widened(output)
        if target.ndim != 1:
            target = target.reshape(-1)
        if not self.binary:
            if output.ndim != 2 or len(output) != len(target):
                raise self._mismatch(output, target, f"logits (N, {self.outputs}) and classes (N,)")
            return output, target.long()
        if output.ndim != 1:
            output = output.reshape(-1)
        if output.shape != target.shape:
            raise self._mismatch(output, target, "one logit and one class for each example")
        return output, target.to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Return the class of each example, (N,) int64."""
        return (output.reshape(-1) > 0).long() if self.binary else output.argmax(1)

    def probabilities(self, output: Tensor) -> Tensor:
        """Return the probability of each class, (N, K), at least in float32."""
        output = widened(output)
        if not self.binary:
            return output.softmax(1)
        z = output.reshape(-1)
        return torch.stack([(-z).sigmoid(), z.sigmoid()], dim=1)


def _width(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape[1:])) or "1"
