"""How predicted and true regions overlap: counted pixel by pixel, over a stream of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue._measures import Confusion, Metric
from preceptor.errors import ModelError

__all__ = ["VOID", "Overlap", "PeakSignalToNoise", "confusions", "overlaps"]

VOID = 255
"""The mask value that is not counted."""


def confusions(output: Tensor, target: Tensor) -> Tensor:
    """Return how often each class was taken for each class, image by image: (N, K, K) int64.

    Rows are true classes, columns predicted ones; pixels of the value `VOID` are left out.

    Arguments:
        output: raw outputs (N, K, …); (N,) or (N, 1, …) is the logit of the second of two classes.
        target: classes (N, …), of the same places.

    Raises:
        ModelError: outputs and targets are not of the same places.

    Example:
        >>> logits = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]]])
        >>> confusions(logits, torch.tensor([[0, 0, VOID]])).tolist()
        [[[1, 1], [0, 0]]]
    """
    if output.ndim == 1 or output.shape[1] == 1:
        size, predicted = 2, (output.reshape(len(output), *output.shape[2:]) > 0).long()
    else:
        size, predicted = output.shape[1], output.argmax(1)
    if predicted.numel() != target.numel() or len(output) != len(target):
        raise ModelError(
            "outputs and targets do not belong together",
            expected=f"a class for each place of output {tuple(output.shape)}",
            received=f"target {tuple(target.shape)}",
        )
    true = target.reshape(len(output), -1).long()
    # What is not counted goes into a place of its own, which is cut off: nothing waits for the device.
    cell = torch.where(true == VOID, size * size, true * size + predicted.reshape(len(output), -1))
    counts = cell.new_zeros(len(output), size * size + 1).scatter_add_(1, cell, torch.ones_like(cell))
    return counts[:, :-1].reshape(-1, size, size)


def overlaps(matrix: Tensor, measure: str) -> Tensor:
    """Return each class's measure from confusion matrices, (…, K) double, NaN where it occurs nowhere.

    Arguments:
        matrix: counts, (…, K, K), rows are true classes.
        measure: ``"iou"``, TP / (TP + FP + FN), or ``"dice"``, 2 TP / (2 TP + FP + FN).

    Example:
        >>> overlaps(torch.tensor([[2, 1], [0, 3]]), "iou").tolist()
        [0.6666666666666666, 0.75]
    """
    wide = torch.float32 if matrix.device.type == "mps" else torch.float64
    counts = matrix.to(wide)
    hit = counts.diagonal(dim1=-2, dim2=-1)
    both = counts.sum(-1) + counts.sum(-2)
    return hit / (both - hit) if measure == "iou" else 2 * hit / both


class Overlap(Confusion):
    """Mean over the classes of their overlap, or the share of right pixels; `VOID` is left out.

    Example:
        >>> metric = Overlap("iou")
        >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1]))
        >>> metric.compute(), metric.by_class()
        (0.5, [0.5, 0.5])
    """

    def __init__(self, measure: str) -> None:
        super().__init__()
        self.measure = measure

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs (N, K, …), targets (N, …)."""
        self.add(confusions(output, target).sum(0))
        self._note_nan(output)

    def add(self, matrix: Tensor) -> None:
        """Add the counts of a confusion matrix, (K, K)."""
        self._add("matrix", matrix)
        if "nan" not in self._sums:
            self._add("nan", torch.zeros((), dtype=torch.int64, device=matrix.device))
        self.count += 1

    def compute(self) -> float:
        """Return the measure over all pixels so far, NaN where none was counted."""
        if not self._usable():
            return float("nan")
        matrix = self._sum("matrix")
        if self.measure == "accuracy":
            total = int(matrix.sum())
            return int(matrix.diagonal().sum()) / total if total else float("nan")
        return float(overlaps(matrix, self.measure).nanmean())

    def by_class(self) -> list[float]:
        """Return the measure of each class, NaN for one that is neither true nor predicted anywhere.

        Raises:
            ModelError: no batch was added yet.
        """
        matrix = self.compute_matrix()
        if self.measure == "accuracy":  # of the pixels of a class, how many were found
            return (matrix.diagonal().double() / matrix.sum(1)).tolist()
        return overlaps(matrix, self.measure).tolist()


class PeakSignalToNoise(Metric):
    """Mean over the examples of 10 log₁₀(peak² / MSE), in decibels.

    Example:
        >>> metric = PeakSignalToNoise(peak=1.0)
        >>> metric.update(torch.full((2, 4), 0.1), torch.zeros(2, 4))
        >>> round(metric.compute(), 3)
        20.0
    """

    def __init__(self, peak: float) -> None:
        self.peak = peak
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._held: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs and targets (N, …)."""
        if len(output) != len(target) or output.numel() != target.numel():
            raise ModelError(
                "outputs and targets do not belong together",
                expected=f"an output for each number of target {tuple(target.shape)}",
                received=f"output {tuple(output.shape)}",
            )
        n = len(target)
        if not n:
            return
        wide = torch.float32 if output.device.type == "mps" else torch.float64
        error = output.detach().to(wide).reshape(n, -1) - target.detach().to(wide).reshape(n, -1)
        self._held.append(error.square().mean(1))

    def compute(self) -> float:
        """Return the mean in decibels; infinite where an example was met exactly."""
        if not self._held:
            return float("nan")
        return float((10 * (self.peak**2 / torch.cat(self._held)).log10()).mean())
