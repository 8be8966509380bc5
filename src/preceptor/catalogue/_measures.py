"""The streaming computations behind the metrics: `update` adds on the device, `compute` reads the sums."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from preceptor.errors import ModelError

__all__ = ["Confusion", "MacroF1", "MeanError", "Metric", "RSquared", "TopK"]

_NAN = float("nan")


class Metric(ABC):
    """A measure over a stream of batches.

    `update` takes the raw output of a model and the targets of one batch and never waits for the device;
    `compute` returns the measure over everything since the last `reset`, NaN where there was nothing or
    where an output was NaN.
    """

    @abstractmethod
    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch."""

    @abstractmethod
    def compute(self) -> float:
        """Return the measure over all batches so far."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all batches."""


class _Sums(Metric):
    """Named running sums that live on the device of the outputs."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def reset(self) -> None:
        self.count = 0
        self._sums = {}

    def _add(self, name: str, value: Tensor) -> None:
        held = self._sums.get(name)
        # Never in place: value may still be a view of the model's output.
        self._sums[name] = value if held is None else held + value

    def _sum(self, name: str) -> Tensor:
        return self._sums[name]

    def _note_nan(self, output: Tensor) -> None:
        self._add("nan", output.isnan().any().to(torch.int64))

    def _usable(self) -> bool:
        return self.count > 0 and int(self._sum("nan")) == 0


def _labels(output: Tensor, target: Tensor) -> Tensor:
    """Return the targets as (N,) int64."""
    if target.numel() != output.shape[0]:
        raise ModelError(
            "outputs and targets do not belong together",
            expected=f"{output.shape[0]} labels for output {tuple(output.shape)}",
            received=f"target {tuple(target.shape)}",
        )
    return target.reshape(-1).long()


def _scores(output: Tensor) -> Tensor:
    """Return the outputs as (N, K): one logit z per example stands for the two scores 0 and z."""
    if output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1):
        z = output.reshape(-1, 1)
        return torch.cat([torch.zeros_like(z), z], dim=1)
    if output.ndim == 2:
        return output
    raise ModelError(
        "this metric needs one row of outputs per example",
        expected="output (N, K), or (N,) or (N, 1) for two classes",
        received=f"output {tuple(output.shape)}",
    )


class TopK(_Sums):
    """Share of examples whose class is among the k highest scores; with ``error``, of those where it is not.

    Ties are broken as in scikit-learn: for k = 1 the lowest class wins (argmax), for k > 1 the highest.

    Example:
        >>> metric = TopK(1)
        >>> metric.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        >>> metric.compute()
        0.5
    """

    def __init__(self, k: int, *, error: bool = False) -> None:
        super().__init__()
        self.k, self.error = k, error

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs (N, K), (N, 1) or (N,); targets (N,)."""
        scores, labels = _scores(output), _labels(output, target)
        if self.k == 1:
            hits = scores.argmax(1) == labels
        else:
            own = scores.gather(1, labels[:, None])
            later = torch.arange(scores.shape[1], device=scores.device) > labels[:, None]
            ahead = (scores > own) | ((scores == own) & later)
            hits = ahead.sum(1) < self.k
        self._add("hits", hits.sum())
        self._note_nan(output)
        self.count += len(labels)

    def compute(self) -> float:
        """Return the share, from 0 to 1."""
        if not self._usable():
            return _NAN
        hits = int(self._sum("hits"))
        return (self.count - hits if self.error else hits) / self.count


def _counts(index: Tensor, size: int) -> Tensor:
    # bincount would wait for the device, to learn how large the result becomes
    zero = torch.zeros(size, dtype=torch.int64, device=index.device)
    return zero.index_add_(0, index, torch.ones_like(index))


class MacroF1(_Sums):
    """Mean over the classes of F1 = 2·TP / (2·TP + FP + FN); a class that never occurs is left out.

    Example:
        >>> metric = MacroF1()
        >>> metric.update(torch.tensor([2.0, -1.0, 3.0]), torch.tensor([1, 0, 0]))
        >>> round(metric.compute(), 4)
        0.6667
    """

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs (N, K), (N, 1) or (N,); targets (N,)."""
        scores, labels = _scores(output), _labels(output, target)
        size, predicted = scores.shape[1], scores.argmax(1)
        hit = _counts(labels + size * (predicted != labels), 2 * size)[:size]
        self._add("hit", hit)
        self._add("all", _counts(labels, size) + _counts(predicted, size))
        self._note_nan(output)
        self.count += len(labels)

    def compute(self) -> float:
        """Return the mean F1, from 0 to 1."""
        if not self._usable():
            return _NAN
        hit, both = self._sum("hit").cpu().double(), self._sum("all").cpu().double()
        seen = both > 0
        return float((2 * hit[seen] / both[seen]).mean())


class Confusion(_Sums):
    """How often each class was taken for each class.

    Example:
        >>> metric = Confusion()
        >>> metric.update(torch.tensor([2.0, -1.0, 3.0]), torch.tensor([1, 0, 0]))
        >>> metric.compute_matrix()
        tensor([[1, 1],
                [0, 1]])
    """

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs (N, K), (N, 1) or (N,); targets (N,)."""
        scores, labels = _scores(output), _labels(output, target)
        size = scores.shape[1]
        self._add("matrix", _counts(labels * size + scores.argmax(1), size * size).reshape(size, size))
        self._note_nan(output)
        self.count += len(labels)

    def compute(self) -> float:
        """Return the share of the diagonal, which is the accuracy."""
        if not self._usable():
            return _NAN
        return int(self._sum("matrix").diagonal().sum()) / self.count

    def compute_matrix(self) -> Tensor:
        """Return the counts, (K, K) int64 on the CPU: rows are true classes, columns predicted ones.

        Raises:
            ModelError: no batch was added yet.
        """
        if self.count == 0:
            raise ModelError("no confusion matrix yet", expected="at least one batch", received="none")
        return self._sum("matrix").cpu()


def _pair(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as (N, D) in double precision (single on devices that have no double)."""
    if output.ndim == 0 or output.numel() != target.numel() or output.shape[0] != target.shape[0]:
        raise ModelError(
            "outputs and targets do not belong together",
            expected=f"one output for each number of target {tuple(target.shape)}",
            received=f"output {tuple(output.shape)}",
        )
    wide = torch.float32 if output.device.type == "mps" else torch.float64
    rows = (output.shape[0], output[0].numel() if output.shape[0] else 1)
    return output.detach().to(wide).reshape(rows), target.detach().to(wide).reshape(rows)


class MeanError(_Sums):
    """Mean of |error|^power over examples, optionally its root; averaged over the target columns.

    Example:
        >>> metric = MeanError(power=2, root=True)
        >>> metric.update(torch.tensor([1.0, 3.0]), torch.tensor([[1.0], [0.0]]))
        >>> round(metric.compute(), 4)
        2.1213
    """

    def __init__(self, power: int, *, root: bool = False) -> None:
        super().__init__()
        self.power, self.root = power, root

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs and targets (N, D), or (N,) for one column."""
        predicted, true = _pair(output, target)
        self._add("error", (predicted - true).abs().pow(self.power).sum(0))
        self.count += len(true)

    def compute(self) -> float:
        """Return the mean, in the targets' units to the given power."""
        if self.count == 0:
            return _NAN
        mean = self._sum("error") / self.count
        return float((mean.sqrt() if self.root else mean).mean())


class RSquared(_Sums):
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², averaged over the target columns.

    The spread about the mean is merged batch by batch (Chan, Golub and LeVeque, 1979), so that targets far
    from zero lose no digits.

    Example:
        >>> metric = RSquared()
        >>> metric.update(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute()
        0.5
    """

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs and targets (N, D), or (N,) for one column."""
        predicted, true = _pair(output, target)
        n = len(true)
        if n == 0:
            return
        mean = true.mean(0)
        self._add("residual", (predicted - true).square().sum(0))
        self._add("spread", (true - mean).square().sum(0))
        if self.count:
            shift = mean - self._sum("mean")
            self._add("spread", shift.square() * (self.count * n / (self.count + n)))
            self._add("mean", shift * (n / (self.count + n)))
        else:
            self._add("mean", mean)
        self.count += n

    def compute(self) -> float:
        """Return R²: 1 for a perfect fit, 0 for the mean, NaN for fewer than two examples.

        A column of constant targets counts as 1 if it was met exactly and as 0 if not.
        """
        if self.count < 2:
            return _NAN
        residual, spread = self._sum("residual").cpu(), self._sum("spread").cpu()
        flat = torch.where(residual == 0, 1.0, 0.0).to(residual)
        flat = torch.where(residual.isnan(), residual, flat)
        return float(torch.where(spread == 0, flat, 1 - residual / spread).mean())
