"""Regression: one or several numbers for each example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from preceptor.catalogue.metrics import Metric
from preceptor.errors import ConfigError, ModelError
from preceptor.tasks._task import Task, widened

__all__ = ["Regression"]


@dataclass(frozen=True)
class Regression(Task):
    """D numbers for each example, y = offset + scale · t in the data's units, t what the loss sees.

    Attributes:
        dims: D, how many numbers a target has.
        offset: (D,), in the data's units; empty for zeros.
        scale: (D,), positive, in the data's units; empty for ones.

    Raises:
        ConfigError: offset or scale of another length, or a loss or metric that does not suit.

    Example:
        >>> task = Regression(1, offset=(20.0,), scale=(2.0,))
        >>> task.outputs, task.loss, task.metrics
        (1, 'mse', ('r2', 'rmse', 'mae'))
        >>> task.predict(torch.tensor([[0.5]]))
        tensor([[21.]], dtype=torch.float64)
    """

    name: ClassVar[str] = "regression"
    suits: ClassVar[frozenset[str]] = frozenset({"numbers"})

    dims: int = 1
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(self.offset) or (0.0,) * self.dims)
        object.__setattr__(self, "scale", tuple(self.scale) or (1.0,) * self.dims)
        if self.dims < 1 or len(self.offset) != self.dims or len(self.scale) != self.dims:
            raise ConfigError(
                "offset and scale do not fit the targets",
                expected=f"dims of at least 1, and {self.dims} numbers each",
                received=f"dims={self.dims}, offset={self.offset}, scale={self.scale}",
            )
        super().__post_init__()

    def _default_loss(self) -> str:
        return "mse"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("r2", "rmse", "mae")

    @property
    def outputs(self) -> int:
        """The number of numbers in a target."""
        return self.dims

    def _check_output(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        if shape[1:] != (self.dims,) and not (len(shape) == 1 and self.dims == 1):
            raise ModelError(
                "the model's last layer has the wrong width",
                expected=f"width {self.dims}: output (N, {self.dims})",
                received=f"width {'×'.join(map(str, shape[1:])) or '1'}: output {shape}",
                hint=f"a last layer of width {self.dims}",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are finite numbers, (N, D), or (N,) for D = 1.

        Raises:
            ModelError: another dtype or shape, or a target that is NaN or infinite.
        """
        if target.is_complex() or target.dtype == torch.bool:
            raise ModelError(
                "the targets have a wrong dtype for regression",
                expected="real numbers, float32",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
                hint="the task classification for yes and no",
            )
        if target.shape[1:] != (self.dims,) and not (target.ndim == 1 and self.dims == 1):
            raise ModelError(
                "the targets have a wrong shape for regression",
                expected=f"(N, {self.dims})" + (" or (N,)" if self.dims == 1 else ""),
                received=str(tuple(target.shape)),
            )
        if bad := int((~target.isfinite()).sum()):
            raise ModelError(
                "targets are not finite",
                expected="finite numbers",
                received=f"{bad} of {target.numel()} NaN or infinite",
                hint="drop those examples, or fill them in",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both as (N, D), targets in the dtype of the outputs."""
        output = widened(output)
        if output.shape != target.shape or output.ndim != 2:
            if output.numel() != target.numel() or output.ndim == 0 or len(output) != len(target):
                raise self._mismatch(output, target, f"both of shape (N, {self.dims})")
            output, target = output.reshape(-1, self.dims), target.reshape(-1, self.dims)
        return output, target.to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Return the predicted numbers in the data's units, (N, D) float64."""
        return _decode(output.reshape(-1, self.dims), *self._constants(output.device))

    def probabilities(self, output: Tensor) -> None:
        """Return None: numbers have no classes."""
        return

    def _constants(self, device: torch.device) -> tuple[Tensor, Tensor]:
        wide = torch.float32 if device.type == "mps" else torch.float64
        return torch.tensor(self.offset, dtype=wide, device=device), torch.tensor(
            self.scale, dtype=wide, device=device
        )

    def _meter(self, name: str) -> Metric:
        return _InUnits(super()._meter(name), self)


def _decode(values: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    return values.detach().to(scale.dtype) * scale + offset


class _InUnits(Metric):
    """A metric that is given outputs and targets in the data's units."""

    def __init__(self, metric: Metric, task: Regression) -> None:
        self.metric, self.task = metric, task
        self._held: tuple[Tensor, Tensor] | None = None

    def update(self, output: Tensor, target: Tensor) -> None:
        output, target = self.task.align(output, target)
        if self._held is None:
            self._held = self.task._constants(output.device)
        self.metric.update(_decode(output, *self._held), _decode(target, *self._held))

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
