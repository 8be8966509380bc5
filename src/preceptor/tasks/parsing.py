"""Parsing: a tree over each sentence, of constituents with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from preceptor.catalogue.metrics import Metric
from preceptor.catalogue.parsing import Bracketed, best_tree, closed, counted
from preceptor.errors import DataError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap

__all__ = ["Parsing"]

_NO_SPAN = -1


@dataclass(frozen=True)
class Parsing(Task):
    """A tree over each sentence, from a score for each label of each span; every answer is a tree.

    Attributes:
        classes: the labels of constituents, at least one; constituents one in another are one label.

    Raises:
        DataError: no labels.
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> import torch
        >>> task = Parsing(("NP", "S"))
        >>> task.outputs, task.loss, task.metrics
        (3, 'tree-crf', ('bracket_f1', 'tree_accuracy'))
        >>> spans = [[[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]], [[0.0] * 3, [0.0] * 3]]
        >>> task.predict(torch.tensor([spans])).tolist()
        [[[0, 1, 2], [0, 0, 1], [1, 1, 0]]]
    """

    name: ClassVar[str] = "parsing"
    suits: ClassVar[frozenset[str]] = frozenset({"trees"})

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise DataError("there are no constituents", expected="at least one label", received="none")
        super().__post_init__()

    def _default_loss(self) -> str:
        return "tree-crf"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("bracket_f1", "tree_accuracy")

    @property
    def outputs(self) -> int:
        """The number of labels and one more, the first: no constituent."""
        return len(self.classes) + 1

    def _check_output(self, output: Tensor) -> None:
        if output.ndim != 4 or output.shape[1] != output.shape[2] or output.shape[3] != self.outputs:
            raise ModelError(
                "the model does not score the spans of a sentence",
                expected=f"output (N, T, T, {self.outputs}): by first word, last word and label",
                received=f"output {tuple(output.shape)}",
                hint='the model "span-parser"',
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are spans of binary trees, filled up with −1.

        Raises:
            ModelError: another dtype, shape or range.
        """
        whole = target.ndim == 3 and target.shape[2] == 3 and not target.is_floating_point()
        if not whole or not bool(((target >= _NO_SPAN) & (target[..., 2:] < self.outputs)).all()):
            raise ModelError(
                "the targets are no trees",
                expected=f"integers (N, 2T − 1, 3): first word, last word, label below {self.outputs}; or −1",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N, T, T, K) and trees (N, 2T − 1, 3)."""
        if target.ndim != 3 or len(output) != len(target) or target.shape[1] > 2 * output.shape[1] - 1:
            raise self._mismatch(output, target, f"scores (N, T, T, {self.outputs}) and trees (N, 2T − 1, 3)")
        return widened(output), target

    def predict(self, output: Tensor) -> Tensor:
        """Return the best trees, (N, 2T − 1, 3) int64; behind the end of a sentence they mean nothing."""
        return best_tree(output)

    def probabilities(self, output: Tensor) -> None:
        """Return None: there are too many trees."""
        return

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many brackets of each label agree, were said and are true, (N, K, 3), and the trees."""
        said = best_tree(closed(output, target[:, 0, 1] + 1))
        return counted(said, target, self.outputs), target

    def each_class(self, output: Tensor, target: Tensor) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 of each label, from what `compact` returned."""
        found = {}
        for label, (alike, said, true) in zip(self.classes, output.sum(0)[1:].tolist(), strict=True):
            found[label] = {
                "precision": alike / max(said, 1),
                "recall": alike / max(true, 1),
                "f1": 2 * alike / max(said + true, 1),
                "examples": float(true),
            }
        return found

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, over sentences."""
        return bootstrap(lambda: _Counts(self.metrics[0]), output, target, level=level)


class _Counts(Metric):
    """A measure of sentences whose brackets are counted."""

    def __init__(self, measure: str) -> None:
        self.of = Bracketed(measure.replace("_", "-"))

    def update(self, output: Tensor, target: Tensor) -> None:
        self.of.add(output)

    def compute(self) -> float:
        return self.of.compute()

    def reset(self) -> None:
        self.of.reset()
