"""Losses and metrics of all members over the same examples, as `evaluate` measures one."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from preceptor.catalogue.metrics import MacroF1, Metric, TopK
from preceptor.data.batches import Batches
from preceptor.errors import DataError
from preceptor.training.population.passes import Pass

__all__ = ["evaluate_members"]


def evaluate_members(passes: Pass, meters: Mapping[str, Metric], batches: Batches) -> dict[str, list[float]]:
    """Return each member's mean loss, under "loss", and its metrics, under their names.

    Arguments:
        passes: gives the outputs of all members.
        meters: new metrics, which are left alone.
        batches: to measure on; each example has equal weight.

    Raises:
        DataError: the pass has no batches.
    """
    counters = {name: _counter(meter) for name, meter in meters.items()}
    losses: list[Tensor] = []
    sizes: list[int] = []
    members = len(passes.stack)
    with torch.no_grad():
        for x, y in batches.epoch():
            outputs = passes.outputs(x)
            losses.append(passes.head.losses(outputs, y.expand(members, *y.shape)))
            sizes.append(len(y))
            seen = _Seen(outputs, y)
            for counter in counters.values():
                counter.update(seen)
    if not losses:
        raise DataError("there is nothing to measure", expected="at least one batch", received="none")
    share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    mean = (torch.stack(losses).double().cpu() * share[:, None]).sum(0).tolist()
    return {"loss": mean, **{name: counter.compute() for name, counter in counters.items()}}


class _Seen:
    """The outputs (M, N, …) of all members for one batch, and what several metrics make of them.

    Scores have the classes before the examples, (M, K, N): along the last axis a few classes are slow.
    """

    def __init__(self, outputs: Tensor, y: Tensor) -> None:
        self.outputs, self.y = outputs, y

    @cached_property
    def scores(self) -> Tensor:
        """One logit for each example stands for the two scores 0 and z."""
        if self.outputs.ndim == 2 or self.outputs.shape[-1] == 1:
            z = self.outputs.reshape(len(self.outputs), 1, -1)
            return torch.cat([torch.zeros_like(z), z], 1)
        return self.outputs.mT

    @cached_property
    def predicted(self) -> Tensor:
        """The class with the highest score, (M, N); the first of equals."""
        return self.scores.max(1).indices

    @cached_property
    def labels(self) -> Tensor:
        """The true classes, (N,)."""
        return self.y.reshape(-1).long()

    @cached_property
    def nan(self) -> Tensor:
        """Whether a member has put out anything but numbers, (M,)."""
        return self.outputs.isnan().flatten(1).any(1)


class _Counter(ABC):
    """A metric over a stream of batches, for all members."""

    @abstractmethod
    def update(self, seen: _Seen) -> None: ...

    @abstractmethod
    def compute(self) -> list[float]: ...


def _counter(meter: Metric) -> _Counter:
    if type(meter) is TopK:
        return _Hits(meter)
    if type(meter) is MacroF1:
        return _F1()
    return _Each(meter)


class _Hits(_Counter):
    """Shares of examples whose class is among the k highest scores, ties broken as `TopK` breaks them."""

    def __init__(self, meter: TopK) -> None:
        self.k, self.error = meter.k, meter.error
        self.hits: Tensor | int = 0
        self.nan: Tensor | bool = False
        self.count = 0

    def update(self, seen: _Seen) -> None:
        labels = seen.labels
        if self.k == 1:
            hits = seen.predicted == labels
        else:
            scores = seen.scores
            own = scores.gather(1, labels.expand(len(scores), 1, -1))
            later = torch.arange(scores.shape[1], device=scores.device)[:, None] > labels
            hits = ((scores > own) | ((scores == own) & later)).sum(1) < self.k
        self.hits = self.hits + hits.sum(-1)
        self.nan = self.nan | seen.nan
        self.count += len(labels)

    def compute(self) -> list[float]:
        hits = torch.as_tensor(self.hits).double()
        return _unless(self.nan, (self.count - hits if self.error else hits) / self.count)


class _F1(_Counter):
    """Means over the classes of 2·TP / (2·TP + FP + FN), a class that never occurs left out."""

    def __init__(self) -> None:
        self.hit: Tensor | int = 0
        self.all: Tensor | int = 0
        self.nan: Tensor | bool = False

    def update(self, seen: _Seen) -> None:
        predicted, labels, size = seen.predicted, seen.labels, seen.scores.shape[1]
        one, zeros = torch.ones_like(predicted), predicted.new_zeros(len(predicted), size)
        self.hit = self.hit + zeros.scatter_add(1, predicted, (predicted == labels).long())
        true = zeros.scatter_add(1, labels.expand_as(one), one)
        self.all = self.all + true.scatter_add(1, predicted, one)
        self.nan = self.nan | seen.nan

    def compute(self) -> list[float]:
        hit, both = torch.as_tensor(self.hit).double(), torch.as_tensor(self.all).double()
        return _unless(self.nan, (2 * hit / both).nanmean(1))


def _unless(nan: Tensor | bool, values: Tensor) -> list[float]:
    made: list[float] = torch.where(torch.as_tensor(nan, device=values.device), math.nan, values).tolist()
    return made


class _Each(_Counter):
    """Any other metric, one for each member."""

    def __init__(self, meter: Metric) -> None:
        self.meter = meter
        self.meters: list[Metric] = []

    def update(self, seen: _Seen) -> None:
        self.meters = self.meters or [copy.deepcopy(self.meter) for _ in seen.outputs]
        for meter, own in zip(self.meters, seen.outputs, strict=True):
            meter.update(own, seen.y)

    def compute(self) -> list[float]:
        return [meter.compute() for meter in self.meters]
