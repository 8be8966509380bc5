"""Multi-label classification: any of K labels for each example, in any number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from preceptor.catalogue.label_metrics import LabelCounts
from preceptor.catalogue.metrics import Metric
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks._task import Task, widened

__all__ = ["MultiLabel"]


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any of K labels for each example: a logit each, and a threshold on each probability.

    Attributes:
        classes: the labels' names.
        thresholds: (K,), a label holds where its probability is above this; empty for ½ each. Once training
            is over they are set to what gives the best F1 of each label on the validation examples.

    Raises:
        DataError: no labels.
        ConfigError: thresholds of another number or outside (0, 1), or a loss or metric that does not suit.

    Example:
        >>> task = MultiLabel(("red", "round"), thresholds=(0.5, 0.1))
        >>> task.outputs, task.loss, task.output_unit, task.metrics[0]
        (2, 'binary-cross-entropy', 'sigmoid', 'micro_f1')
        >>> task.predict(torch.tensor([[-1.0, -1.0]]))
        tensor([[0, 1]])
    """

    name: ClassVar[str] = "multi-label"
    suits: ClassVar[frozenset[str]] = frozenset({"labels", "binary"})

    classes: tuple[str, ...]
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise DataError("there are no labels", expected="at least one", received="none")
        object.__setattr__(self, "thresholds", tuple(self.thresholds) or (0.5,) * len(self.classes))
        if len(self.thresholds) != len(self.classes) or not all(0 < t < 1 for t in self.thresholds):
            raise ConfigError(
                "thresholds are not usable",
                expected=f"{len(self.classes)} numbers between 0 and 1",
                received=repr(self.thresholds),
            )
        super().__post_init__()

    def _default_loss(self) -> str:
        return "binary-cross-entropy"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("micro_f1", "multi_label_macro_f1", "subset_accuracy", "hamming_loss")

    @property
    def outputs(self) -> int:
        """The number of labels."""
        return len(self.classes)

    def _check_output(self, output: Tensor) -> None:
        if output.shape[1:] != (self.outputs,):
            raise ModelError(
                "the model's last layer has the wrong width",
                expected=f"output (N, {self.outputs}), a logit for each label",
                received=f"output {tuple(output.shape)}",
                hint=f"a last layer of width {self.outputs}",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are 0 and 1, (N, K).

        Raises:
            ModelError: another shape, or other numbers.
        """
        if target.shape[1:] != (self.outputs,) or not bool(((target == 0) | (target == 1)).all()):
            raise ModelError(
                "the targets are no labels",
                expected=f"0 and 1, (N, {self.outputs})",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and targets, (N, K) each, of the same dtype."""
        output = widened(output)
        if output.shape != target.shape:
            raise self._mismatch(output, target, f"both of shape (N, {self.outputs})")
        return output, target.to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Return 1 for each label that holds, else 0, (N, K) int64."""
        return (self.shifted(output) > 0).long()

    def probabilities(self, output: Tensor) -> Tensor:
        """Return the probability of each label, (N, K); they do not sum to 1."""
        return widened(output).sigmoid()

    def shifted(self, output: Tensor) -> Tensor:
        """Return logits that are above 0 where the probability is above its threshold."""
        return widened(output) - torch.tensor(self.thresholds, device=output.device).logit()

    def fitted(self, output: Tensor, target: Tensor) -> Mapping[str, Any]:
        """Return the thresholds with the best F1 of each label on these examples."""
        p = self.probabilities(output.double())
        return {
            "thresholds": tuple(_best_threshold(p[:, k], target[:, k] > 0.5) for k in range(self.outputs))
        }

    def each_class(self, output: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
        """Return precision, recall, F1, examples and threshold of each label, by its name."""
        counts = LabelCounts("micro-f1")
        counts.update(self.shifted(output), target)
        rows = zip(self.classes, counts.each_label(), self.thresholds, strict=True)
        return {name: {**row, "threshold": threshold} for name, row, threshold in rows}

    def _meter(self, name: str) -> Metric:
        return _Shifted(super()._meter(name), self)


def _best_threshold(p: Tensor, true: Tensor) -> float:
    """Return the middle of the gap in sorted probabilities that gives the best F1; ½ without two sorts."""
    if not bool(true.any()) or bool(true.all()):
        return 0.5
    order = p.argsort(descending=True, stable=True)
    p, hits = p[order], true[order].double().cumsum(0)
    said = torch.arange(1, len(p) + 1, device=p.device)
    f1 = 2 * hits / (said + true.sum())
    f1[:-1][p[:-1] == p[1:]] = -1.0  # no threshold lies between equal probabilities
    at = int(f1.argmax())
    below = float(p[at + 1]) if at + 1 < len(p) else 0.0
    return min(max((float(p[at]) + below) / 2, 1e-6), 1 - 1e-6)


class _Shifted(Metric):
    """A metric that is given logits with their thresholds at 0."""

    def __init__(self, metric: Metric, task: MultiLabel) -> None:
        self.metric, self.task = metric, task

    def update(self, output: Tensor, target: Tensor) -> None:
        self.metric.update(self.task.shifted(output), target)

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
