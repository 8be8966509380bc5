"""Density estimation, and what rests on it: what is unusual has a small density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from preceptor.catalogue import entry
from preceptor.catalogue.metrics import Metric
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks._task import Task, widened

__all__ = ["AnomalyDetection", "DensityEstimation"]


@dataclass(frozen=True)
class DensityEstimation(Task):
    """The logarithm of the density at each example; no targets.

    Attributes:
        log_volume: Σ_d log σ_d of the scaling of the inputs: log p(x) = log p(z) − log_volume in the units of
            the data, where z = (x − μ)/σ is what the network sees.

    Raises:
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> import torch
        >>> task = DensityEstimation(log_volume=1.0)
        >>> task.outputs, task.loss, task.metrics
        (1, 'negative-log-density', ('log_density',))
        >>> task.predict(torch.tensor([[-2.0]]))
        tensor([-3.])
    """

    name: ClassVar[str] = "density-estimation"
    suits: ClassVar[frozenset[str]] = frozenset({"densities"})

    log_volume: float = 0.0

    def _default_loss(self) -> str:
        return "negative-log-density"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("log_density",)

    @property
    def outputs(self) -> int:
        """One: the log-density."""
        return 1

    def _check_output(self, output: Tensor) -> None:
        if output.shape[1:].numel() != 1:
            raise ModelError(
                "the model does not give a density",
                expected="output (N,) or (N, 1): the log-density of each example",
                received=f"output {tuple(output.shape)}",
                hint='the model "gaussian-mixture", "masked-autoregressive" or "variational-autoencoder"',
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets say 0, or 1 for an anomaly, (N,).

        Raises:
            ModelError: another shape, or other numbers.
        """
        if target.ndim != 1 or not bool(((target == 0) | (target == 1)).all()):
            raise ModelError(
                "the targets are no anomalies",
                expected="0, or 1 for an anomaly, (N,)",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-densities and targets, (N,) each."""
        output = widened(output).reshape(-1)
        if len(output) != len(target):
            raise self._mismatch(output, target, "a log-density for each example")
        return output, target.to(output.dtype)

    def predict(self, output: Tensor) -> Tensor:
        """Return log p(x) in the units of the data, (N,)."""
        return widened(output).reshape(-1) - self.log_volume

    def probabilities(self, output: Tensor) -> None:
        """Return None: there are no classes."""
        return

    def example_losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return −log p of each example, anomalies too, (N,)."""
        return -widened(output).reshape(-1)

    def _meter(self, name: str) -> Metric:
        return _OfDensity(super()._meter(name), self, name)

    def seen_by(self, metric: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a metric is given: log-densities in the units of the data, of what is no anomaly."""
        output, target = self.align(output, target)
        return output - self.log_volume, target


@dataclass(frozen=True)
class AnomalyDetection(DensityEstimation):
    """Is an example unusual? It is where its density is below a threshold; learned from usual ones alone.

    Attributes:
        anomalies: the names of the classes that are anomalies, known for measuring alone; empty where no
            labels are known.
        contamination: the share of the usual validation examples that the threshold flags.
        threshold: on the log-density as the network gives it; set on the validation examples once training
            is over.

    Example:
        >>> import torch
        >>> task = AnomalyDetection(anomalies=("9",), threshold=-3.0)
        >>> task.metrics, task.predict(torch.tensor([-2.0, -4.0])).tolist()
        (('roc_auc', 'average_precision'), [0, 1])
    """

    name: ClassVar[str] = "anomaly-detection"
    suits: ClassVar[frozenset[str]] = frozenset({"densities", "categories"})

    anomalies: tuple[str, ...] = ()
    contamination: float = 0.05
    threshold: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "anomalies", tuple(self.anomalies))
        super().__post_init__()
        if entry(self.loss, "loss").traits.get("targets") != "densities":
            raise ConfigError(
                f"the loss {self.loss!r} does not suit anomaly-detection",
                expected="a loss of densities: anomalies are not learned from",
                received=repr(self.loss),
                hint="the task classification learns from labelled anomalies",
            )

    def _default_metrics(self) -> tuple[str, ...]:
        return ("roc_auc", "average_precision") if self.anomalies else ("log_density",)

    def told(self, settings: Any) -> AnomalyDetection:
        """Return the task with the contamination that the settings ask for."""
        return replace(self, contamination=settings.contamination)

    def counted(self, target: Tensor) -> int:
        """Return how many examples are no anomalies: the loss is over those alone."""
        return int((target == 0).sum())

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-densities and targets of what is no anomaly, (M,) each."""
        output, target = super().align(output, target)
        usual = target == 0
        return output[usual], target[usual]

    def predict(self, output: Tensor) -> Tensor:
        """Return 1 for an anomaly, else 0, (N,) int64."""
        return (self.scores(output) > 0).long()

    def scores(self, output: Tensor) -> Tensor:
        """Return how much less likely than the threshold each example is, in nats, (N,)."""
        return self.threshold - widened(output).reshape(-1)

    def fitted(self, output: Tensor, target: Tensor) -> Mapping[str, Any]:
        """Return the threshold that flags the share ``contamination`` of these usual examples.

        Raises:
            DataError: there are no usual examples.
        """
        usual = output.reshape(-1)[target == 0].sort().values
        if not len(usual):
            raise DataError("there are no usual examples", expected="validation examples", received="none")
        flagged = min(round(self.contamination * len(usual)), len(usual) - 1)
        return {"threshold": float(usual[flagged])}

    def each_class(self, output: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
        """Return how many usual examples and anomalies there are, and the share of them that is flagged."""
        said, found = self.predict(output), {}
        for name, value in (("usual", 0), ("anomaly", 1)):
            mine = said[target == value]
            if len(mine):
                found[name] = {"flagged": float(mine.double().mean()), "examples": float(len(mine))}
        return found

    def seen_by(self, metric: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a metric is given: scores and targets; of densities those of the usual examples."""
        if entry(metric, "metric").traits["targets"] == "densities":
            return super().seen_by(metric, output, target)
        return self.scores(output), target


class _OfDensity(Metric):
    """A metric that is given what it is made for."""

    def __init__(self, metric: Metric, task: DensityEstimation, name: str) -> None:
        self.metric, self.task, self.name = metric, task, name

    def update(self, output: Tensor, target: Tensor) -> None:
        self.metric.update(*self.task.seen_by(self.name, output, target))

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()
