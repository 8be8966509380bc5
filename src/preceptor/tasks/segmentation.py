"""Segmentation: one of K classes for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from preceptor.catalogue import entry, get
from preceptor.catalogue.losses import training_loss
from preceptor.catalogue.metrics import Metric
from preceptor.catalogue.pixels import VOID, Overlap, confusions, overlaps
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap

__all__ = ["Segmentation", "centre"]


@dataclass(frozen=True)
class Segmentation(Task):
    """One of K classes, numbered 0…K−1, for each pixel; pixels of the value 255 do not count.

    A model whose outputs are smaller than its inputs is judged by the middle of the targets.

    Attributes:
        classes: display names, at least two.

    Raises:
        DataError: fewer than two classes.
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> import torch
        >>> task = Segmentation(("membrane", "cell"))
        >>> task.outputs, task.loss, task.metrics
        (2, 'pixel-cross-entropy', ('mean_iou', 'dice', 'pixel_accuracy'))
        >>> task.predict(torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]]))
        tensor([[[1, 0]]])
    """

    name: ClassVar[str] = "segmentation"
    suits: ClassVar[frozenset[str]] = frozenset({"categories"})

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.classes) < 2:
            raise DataError(
                "segmentation needs something to tell apart",
                expected="at least two classes of pixels",
                received=", ".join(self.classes) or "none",
                hint="check the masks, and which of their values are ignored",
            )
        if self.loss != "auto" and training_loss(self.loss).name == "cross-entropy":
            object.__setattr__(self, "loss", "pixel-cross-entropy")
        super().__post_init__()
        for kind, names in (("loss", (self.loss,)), ("metric", self.metrics)):
            for name in names:
                if not entry(name, kind).traits.get("pixels"):
                    raise ConfigError(
                        f"the {kind} {name!r} does not suit segmentation",
                        expected=f"a {kind} of a class for each pixel",
                        received=repr(name),
                        hint=f"{kind} {'pixel-cross-entropy' if kind == 'loss' else 'mean-iou'!r}",
                    )

    def _default_loss(self) -> str:
        return "pixel-cross-entropy"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("mean_iou", "dice", "pixel_accuracy")

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def _check_output(self, output: Tensor) -> None:
        shape, k = tuple(output.shape), len(self.classes)
        if len(shape) != 4 or shape[1] != k:
            raise ModelError(
                "the model does not give a class for each pixel",
                expected=f"output (N, {k}, H, W): one logit for each class at each pixel",
                received=f"output {shape}",
                hint='the model "u-net" or "fully-convolutional-network"'
                if len(shape) != 4
                else f"a last convolution with {k} filters",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are masks: integers (N, H, W) from 0 to K−1, or 255 where nothing counts.

        Raises:
            ModelError: another dtype, shape or range.
        """
        if target.is_floating_point() or target.is_complex() or target.ndim != 3:
            raise ModelError(
                "the targets are no masks",
                expected="integers (N, H, W): the class of each pixel",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )
        counted = target[target != VOID]
        if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < len(self.classes):
            raise ModelError(
                "classes of pixels are out of range",
                expected=f"0…{len(self.classes) - 1} for {len(self.classes)} classes, or {VOID}",
                received=f"smallest {int(counted.min())}, largest {int(counted.max())}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K, h, w) and the middle of the masks, (N, h, w) int64."""
        output = widened(output)
        fits = output.ndim == 4 and target.ndim == 3 and len(output) == len(target)
        if not fits or any(a > b for a, b in zip(output.shape[2:], target.shape[1:], strict=True)):
            raise self._mismatch(output, target, f"logits (N, {self.outputs}, h, w) and masks (N, H, W)")
        return output, centre(target, output.shape[2:]).long()

    def predict(self, output: Tensor) -> Tensor:
        """Return the class of each pixel, (N, h, w) int64."""
        return output.argmax(1)

    def probabilities(self, output: Tensor) -> Tensor:
        """Return the probability of each class at each pixel, (N, K, h, w)."""
        return widened(output).softmax(1)

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return each image's confusion matrix, (N, K, K) int64, and its loss, (N,)."""
        logits, true = self.align(output, target)
        return confusions(logits, true), self.example_losses(logits, true)

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, over images, from what `compact` returned."""
        return bootstrap(lambda: _Counted(self._overlap(self.metrics[0])), output, target, level=level)

    def each_class(self, output: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
        """Return IoU and Dice of each class, by its name, from what `compact` returned."""
        return self.by_class(output.sum(0))

    def by_class(self, matrix: Tensor) -> dict[str, dict[str, float]]:
        """Return IoU and Dice of each class, by its name, from a confusion matrix (K, K)."""
        measures = {name: overlaps(matrix, name.lower()).tolist() for name in ("IoU", "Dice")}
        return {
            name: {measure: values[i] for measure, values in measures.items()}
            for i, name in enumerate(self.classes)
        }

    def _overlap(self, name: str) -> Overlap:
        made: Overlap = get(name, kind="metric")
        return made

    def _meter(self, name: str) -> Metric:
        return _Aligned(self._overlap(name), self)


class _Aligned(Metric):
    """A metric that is given logits, and the middle of the targets."""

    def __init__(self, metric: Metric, task: Task) -> None:
        self.metric, self.task = metric, task

    def update(self, output: Tensor, target: Tensor) -> None:
        self.metric.update(*self.task.align(output, target))

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()


class _Counted(Metric):
    """An overlap of images whose confusion matrices are known."""

    def __init__(self, metric: Overlap) -> None:
        self.metric = metric

    def update(self, output: Tensor, target: Tensor) -> None:
        self.metric.add(output.sum(0))

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()


def centre(maps: Any, size: Sequence[int]) -> Any:
    """Return the middle of maps (…, H, W), of the given height and width.

    Example:
        >>> import torch
        >>> centre(torch.arange(16).reshape(1, 4, 4), (2, 2)).tolist()
        [[[5, 6], [9, 10]]]
    """
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    top, left = ((before - after) // 2 for before, after in zip(maps.shape[-2:], size, strict=True))
    return maps[..., top : top + size[0], left : left + size[1]]
