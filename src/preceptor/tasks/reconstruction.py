"""Reconstruction and denoising: the input itself is what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.catalogue.metrics import Metric
from preceptor.errors import ConfigError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap
from preceptor.tasks.segmentation import centre

__all__ = ["Denoising", "Reconstruction"]


@dataclass(frozen=True)
class Reconstruction(Task):
    """The input again, x = offset + scale · t in the data's units, t what the network sees.

    Attributes:
        channels: of an image, or how many numbers a vector has.
        offset: (channels,), in the data's units; empty for zeros.
        scale: (channels,), in the data's units; empty for ones.
        peak: the range of the data's values, from the smallest to the largest.
        images: whether examples are images (C, H, W), not vectors (D,).

    Raises:
        ConfigError: offset or scale of another length, or a loss or metric that does not suit.

    Example:
        >>> task = Reconstruction(1, offset=(128.0,), scale=(64.0,), peak=255.0, images=True)
        >>> task.outputs, task.loss, task.metrics
        (1, 'mse', ('psnr', 'mse'))
        >>> task.predict(torch.zeros(1, 1, 1, 2))
        tensor([[[[128., 128.]]]])
    """

    name: ClassVar[str] = "reconstruction"
    suits: ClassVar[frozenset[str]] = frozenset({"numbers"})

    channels: int = 1
    offset: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    peak: float = 1.0
    images: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(self.offset) or (0.0,) * self.channels)
        object.__setattr__(self, "scale", tuple(self.scale) or (1.0,) * self.channels)
        if self.channels < 1 or not len(self.offset) == len(self.scale) == self.channels:
            raise ConfigError(
                "offset and scale do not fit the examples",
                expected=f"{self.channels} numbers each, one for each channel",
                received=f"offset={self.offset}, scale={self.scale}",
            )
        super().__post_init__()

    def _default_loss(self) -> str:
        return "mse"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("psnr", "mse") if self.images else ("r2", "mse")

    @property
    def outputs(self) -> int:
        """The number of channels, or of numbers in a vector."""
        return self.channels

    def _check_output(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        if len(shape) != (4 if self.images else 2) or shape[1] != self.channels:
            wanted = f"(N, {self.channels}, H, W)" if self.images else f"(N, {self.channels})"
            raise ModelError(
                "the model does not give back its input",
                expected=f"output {wanted}, of the shape of its input",
                received=f"output {shape}",
                hint='the model "convolutional-autoencoder" or "u-net"'
                if self.images
                else 'the model "autoencoder"',
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are finite numbers of the examples' form.

        Raises:
            ModelError: another dtype or shape, or NaN.
        """
        if not target.is_floating_point() or target.ndim != (4 if self.images else 2):
            raise ModelError(
                "the targets are not of the form of the inputs",
                expected="floating-point numbers " + ("(N, C, H, W)" if self.images else "(N, D)"),
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )
        if not bool(target.isfinite().all()):
            raise ModelError("targets are not finite", expected="finite numbers", received="NaN or infinity")

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets of one shape; outputs that are smaller belong to the middle."""
        output = widened(output)
        if self.images and output.ndim == target.ndim == 4:
            target = centre(target, output.shape[2:])
        if output.shape != target.shape:
            raise self._mismatch(output, target, "outputs of the shape of the inputs")
        return output, target.to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Return the values in the data's units, of the outputs' shape."""
        offset, scale = (
            output.new_tensor(values, dtype=torch.float32).reshape(-1, *[1] * (output.ndim - 2))
            for values in (self.offset, self.scale)
        )
        return output.detach().float() * scale + offset

    def probabilities(self, output: Tensor) -> None:
        """Return None: values have no classes."""
        return

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the headline measure of each image and its loss, (N,) each; vectors as they are."""
        if not self.images:
            return output, target
        meter, values = self._meter(self.metrics[0]), []
        for i in range(len(target)):
            meter.reset()
            meter.update(output[i : i + 1], target[i : i + 1])
            values.append(meter.compute())
        return torch.tensor(values), self.example_losses(output, target)

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, from what `compact` returned."""
        make = _Mean if self.images else lambda: self._meter(self.metrics[0])
        return bootstrap(make, output, target, level=level)

    def _meter(self, name: str) -> Metric:
        options = {"peak": self.peak} if name == "psnr" else {}
        return _InUnits(get(name, kind="metric", **options), self)


@dataclass(frozen=True)
class Denoising(Reconstruction):
    """The clean input, from one with noise.

    Example:
        >>> Denoising(3).name
        'denoising'
    """

    name: ClassVar[str] = "denoising"


class _InUnits(Metric):
    """A metric that is given outputs and targets in the data's units."""

    def __init__(self, metric: Metric, task: Reconstruction) -> None:
        self.metric, self.task = metric, task

    def update(self, output: Tensor, target: Tensor) -> None:
        aligned = self.task.align(output, target)
        self.metric.update(*(self.task.predict(one) for one in aligned))

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()


class _Mean(Metric):
    """The mean of values that are known."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        self.values.append(output)

    def compute(self) -> float:
        return float(torch.cat(self.values).mean())

    def reset(self) -> None:
        self.values = []
