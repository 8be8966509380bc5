"""Imputation: what is missing, from what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.catalogue.metrics import Metric
from preceptor.errors import ModelError
from preceptor.tasks._task import Task
from preceptor.tasks.interval import bootstrap
from preceptor.tasks.reconstruction import Reconstruction

__all__ = ["Imputation"]


@dataclass(frozen=True)
class Imputation(Reconstruction):
    """The values that are missing from an example; a target that is NaN is not asked for.

    In training and measuring a share of the values that are known is hidden; those alone are judged: pixels
    in
    the units of the data, columns in standard deviations, as they have units of their own.

    Example:
        >>> task = Imputation(2, images=False)
        >>> task.loss, task.metrics
        ('mse', ('rmse', 'mae'))
        >>> task.align(torch.zeros(1, 2), torch.tensor([[3.0, torch.nan]]))
        (tensor([0.]), tensor([3.]))
    """

    name: ClassVar[str] = "imputation"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("rmse", "mae")

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are numbers of the examples' form, NaN where nothing is asked for.

        Raises:
            ModelError: another dtype or shape, or infinity.
        """
        super().check_targets(target.nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf))

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets where something is asked for, (M,) each."""
        output, target = super().align(output, target)
        asked = ~target.isnan()
        return output[asked], target[asked]

    def counted(self, target: Tensor) -> int:
        """Return how many values are asked for."""
        return int((~target.isnan()).sum())

    def example_losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over what is asked for of each example, (N,); 0 where that is nothing."""
        whole = super().align(output, target)
        each: Tensor = get(self.loss, kind="loss", reduction="none")(whole[0], whole[1].nan_to_num(0.0))
        asked = (~whole[1].isnan()).flatten(1).to(each.dtype)
        if each.flatten(1).shape != asked.shape:  # a loss of the whole example
            raise ModelError(
                "the loss does not judge single values", expected='"mse" or "mae"', received=self.loss
            )
        return (each.flatten(1) * asked).sum(1) / asked.sum(1).clamp_min(1.0)

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch as it is."""
        return output, target

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, over examples."""
        return bootstrap(lambda: self._meter(self.metrics[0]), output, target, level=level)

    def _meter(self, name: str) -> Metric:
        return _Asked(Task._meter(self, name), self)


class _Asked(Metric):
    """A metric that is given what was asked for: of images in the units of the data, else as scaled."""

    def __init__(self, metric: Metric, task: Imputation) -> None:
        self.metric, self.task = metric, task

    def update(self, output: Tensor, target: Tensor) -> None:
        made, true = output, target
        if self.task.images:
            made, true = self.task.predict(output), self.task.predict(target)
        asked = ~true.isnan()
        self.metric.update(made[asked], true[asked])

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
