"""Tagging: one of K tags for each word of a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from preceptor.catalogue.metrics import Metric
from preceptor.catalogue.tagging import pairwise, viterbi
from preceptor.errors import DataError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap

__all__ = ["Tagging"]

_NO_TAG = -1


@dataclass(frozen=True)
class Tagging(Task):
    """One of K tags for each step, from scores of tags, or of pairs of neighbouring tags.

    Attributes:
        classes: the tags, at least two.

    Raises:
        DataError: fewer than two tags.
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> task = Tagging(("NOUN", "VERB"))
        >>> task.outputs, task.loss, task.metrics
        (2, 'linear-chain-crf', ('tag_accuracy', 'sentence_accuracy'))
        >>> task.predict(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[1, 0]])
    """

    name: ClassVar[str] = "tagging"
    suits: ClassVar[frozenset[str]] = frozenset({"tags"})

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.classes) < 2:
            raise DataError(
                "tagging needs something to tell apart",
                expected="at least two tags",
                received=", ".join(self.classes) or "none",
            )
        super().__post_init__()

    def _default_loss(self) -> str:
        return "linear-chain-crf"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("tag_accuracy", "sentence_accuracy")

    @property
    def outputs(self) -> int:
        """The number of tags."""
        return len(self.classes)

    def _check_output(self, output: Tensor) -> None:
        k = self.outputs
        if output.ndim not in (3, 4) or any(size != k for size in output.shape[2:]):
            raise ModelError(
                "the model does not give tags for each step",
                expected=f"output (N, T, {k}), or (N, T, {k}, {k}) for pairs of neighbours",
                received=f"output {tuple(output.shape)}",
                hint='the model "bilstm-crf", or a recurrent one with model.per_step=true',
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are rows of tags, filled up with −1.

        Raises:
            ModelError: another dtype, shape or range.
        """
        whole = target.ndim == 2 and not target.is_floating_point()
        if not whole or not bool(((target >= _NO_TAG) & (target < self.outputs)).all()):
            raise ModelError(
                "the targets are no rows of tags",
                expected=f"integers (N, T) below {self.outputs}, filled up with −1",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N, T, K) or (N, T, K, K), and tags (N, T)."""
        if target.ndim != 2 or output.shape[:2] != target.shape:
            raise self._mismatch(output, target, f"scores (N, T, {self.outputs}) and tags (N, T)")
        return widened(output), target

    def predict(self, output: Tensor) -> Tensor:
        """Return the best sequence of tags, (N, T) int64; behind the end of a sentence it means nothing."""
        return viterbi(output)

    def probabilities(self, output: Tensor) -> None:
        """Return None: there are too many sequences."""
        return

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hits and the number of tags of each sentence, (N, 2), and its row of tags."""
        said = viterbi(pairwise(output, target == _NO_TAG))
        counts = target != _NO_TAG
        return torch.stack([((said == target) & counts).sum(1), counts.sum(1)], 1), target

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, over sentences."""
        return bootstrap(lambda: _Hits(self.metrics[0]), output, target, level=level)


class _Hits(Metric):
    """A measure of sentences whose hits and numbers of tags are known."""

    def __init__(self, measure: str) -> None:
        self.whole = measure == "sentence_accuracy"
        self.reset()

    def update(self, output: Tensor, target: Tensor) -> None:
        self.sums += output.sum(0)
        self.right += int((output[:, 0] == output[:, 1]).sum())
        self.count += len(output)

    def compute(self) -> float:
        if self.whole:
            return self.right / self.count
        return int(self.sums[0]) / max(int(self.sums[1]), 1)

    def reset(self) -> None:
        self.sums = torch.zeros(2, dtype=torch.int64)
        self.right = self.count = 0
