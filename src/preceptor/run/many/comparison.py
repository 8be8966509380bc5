"""What combining brought: members beside their ensemble on the same examples, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preceptor import catalogue, tasks
from preceptor.catalogue.averaging import error_correlation
from preceptor.run._evaluation import Evaluation
from preceptor.run.many.together import errors_of

__all__ = [
    "EnsembleEvaluation",
    "Gain",
    "correlation_of",
    "disagreement_of",
    "gain_of",
    "gain_of_loss",
    "sign_of",
]

_DRAWS, _LEVEL = 400, 0.95


@dataclass(frozen=True)
class Gain:
    """By how much an ensemble is better than its members are on average; above 0 is better.

    Attributes:
        name: of the measure.
        members: the mean of the members.
        value: ensemble less mean, or the other way round where less is better.
        interval: 95 %, by drawing the examples anew, with these members; None where that is not done.
    """

    name: str
    members: float
    value: float
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        said = f"{self.value:+.3f} {self.name} over the mean member, {self.members:.3f}"
        if self.interval is None:
            return said
        low, high = self.interval
        unsure = "" if low > 0 or high < 0 else ": within chance"
        return f"{said} (95 % interval {low:+.3f} to {high:+.3f}{unsure})"


@dataclass(frozen=True, eq=False)
class EnsembleEvaluation(Evaluation):
    """What a look at some examples showed of an ensemble and of its members.

    Attributes:
        members: each member's loss and metrics on the same examples.
        gain: of the headline measure.
        loss_gain: of the mean loss.
        correlation: of the members' errors, K × K; NaN for a member without errors.
        disagreement: share of examples for which two members name different classes, on average of the
            pairs; None for numbers.
    """

    members: tuple[dict[str, float], ...] = ()
    gain: Gain | None = None
    loss_gain: Gain | None = None
    correlation: Any = None
    disagreement: float | None = None

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.gain is not None and len(self.members) > 1:
            lines.append(f"gain {self.gain}")
            lines.append(f"     {self.loss_gain}")
            lines.append(self.alike())
        return "\n".join(lines)

    def alike(self) -> str:
        """Return in words how much the members' errors have in common."""
        k = len(self.members)
        first, second = torch.triu_indices(k, k, 1)
        pairs = torch.as_tensor(self.correlation)[first, second]
        known = pairs[pairs.isfinite()]
        if not len(known):
            return "errors without variation: their correlation is not defined"
        said = f"errors correlate {known.mean():.2f} on average, {known.min():.2f} to {known.max():.2f}"
        if self.disagreement is not None:
            said += f"; two members name different classes for {self.disagreement:.1%} of the examples"
        return said


def gain_of(task: tasks.Task, combined: Tensor, said: Tensor, target: Tensor) -> Gain:
    """Return the gain in the headline measure, with its interval over examples."""
    name = task.metrics[0]
    sign = sign_of(name)

    def measured(rows: Tensor) -> tuple[float, float]:
        values = []
        for output in (combined, *said):
            meter = next(iter(task.meters().values()))
            meter.update(output[rows], target[rows])
            values.append(meter.compute())
        return values[0], sum(values[1:]) / len(said)

    whole, mean = measured(torch.arange(len(target)))

    def differs(rows: Tensor) -> float:
        ensemble, members = measured(rows)
        return sign * (ensemble - members)

    return Gain(name, mean, sign * (whole - mean), _interval(differs, len(target)))


def gain_of_loss(combined: Tensor, members: Tensor) -> Gain:
    """Return the gain in the mean loss, from the losses of the examples: (N,) and K × N."""
    differences = members.double().mean(0) - combined.double()
    gain = float(differences.mean())
    interval = _interval(lambda rows: float(differences[rows].mean()), len(differences))
    return Gain("loss", float(members.double().mean()), gain, interval)


def _interval(statistic: Callable[[Tensor], float], count: int) -> tuple[float, float]:
    """Return the middle 95 % of a statistic of examples drawn with replacement."""
    generator = torch.Generator().manual_seed(0)
    values = [statistic(torch.randint(count, (count,), generator=generator)) for _ in range(_DRAWS)]
    ends = torch.tensor([(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], dtype=torch.float64)
    low, high = torch.tensor(values, dtype=torch.float64).quantile(ends).tolist()
    return low, high


def correlation_of(task: tasks.Task, said: Tensor, target: Tensor) -> Tensor:
    """Return the correlation of the members' errors, K × K; 1 for a member alone."""
    errors = errors_of(task, said, target).double()
    return error_correlation(errors) if len(errors) > 1 else torch.ones(1, 1, dtype=torch.float64)


def disagreement_of(task: tasks.Task, said: Tensor) -> float | None:
    """Return how often two members name different classes; None for numbers and for a member alone."""
    if not isinstance(task, tasks.Classification) or len(said) < 2:
        return None
    named = said.argmax(2)
    first, second = torch.triu_indices(len(said), len(said), 1)
    return float((named[first] != named[second]).double().mean())


def sign_of(metric: str) -> float:
    """Return 1 where more of a measure is better, else −1."""
    return 1.0 if catalogue.entry(metric, "metric").traits["better"] == "max" else -1.0
