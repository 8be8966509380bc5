"""Transcription: a text for each example, symbol after symbol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.catalogue.metrics import Metric
from preceptor.catalogue.transcription import edit_distance
from preceptor.errors import DataError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap, wilson

__all__ = ["Transcription"]

_PAD = -1


@dataclass(frozen=True)
class Transcription(Task):
    """A text for each example, from outputs for each step: K symbols and a blank.

    Attributes:
        classes: the symbols.
        beam: beginnings that are kept in decoding; 1 decodes greedily. Measures decode greedily.

    Raises:
        DataError: no symbols.
        ConfigError: a loss or metric that does not suit.

    Example:
        >>> task = Transcription(("a", "b"))
        >>> task.outputs, task.loss, task.metrics
        (3, 'ctc', ('sequence_accuracy', 'character_error_rate'))
        >>> task.predict(torch.tensor([[[9.0, 0, 0], [0, 0, 9.0], [9.0, 0, 0]]]))
        tensor([[ 0,  0, -1]])
    """

    name: ClassVar[str] = "transcription"
    suits: ClassVar[frozenset[str]] = frozenset({"texts"})

    classes: tuple[str, ...]
    beam: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not self.classes:
            raise DataError("there are no symbols", expected="texts", received="none")
        super().__post_init__()

    def _default_loss(self) -> str:
        return "ctc"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("sequence_accuracy", "character_error_rate")

    @property
    def outputs(self) -> int:
        """The number of symbols, and one for the blank."""
        return len(self.classes) + 1

    def told(self, settings: Any) -> Transcription:
        """Return the task with the width of the beam that the settings ask for."""
        return replace(self, beam=settings.beam)

    def _check_output(self, output: Tensor) -> None:
        if output.ndim != 3 or output.shape[2] != self.outputs:
            raise ModelError(
                "the model does not give symbols for each step",
                expected=f"output (N, T, {self.outputs}): {len(self.classes)} symbols and a blank",
                received=f"output {tuple(output.shape)}",
                hint='the model "convolutional-recurrent-network", or an RNN with model.per_step=true',
            )

    def check(self, output: Any, target: Tensor) -> None:
        """Check that outputs fit targets, and that there are steps enough for the longest text.

        Raises:
            ModelError: they do not, or there are too few.
        """
        super().check(output, target)
        longest = int((target != _PAD).sum(1).max())
        if output.shape[1] < longest:
            raise ModelError(
                "there are fewer steps than symbols",
                expected=f"at least {longest} steps, and one more for each symbol that is said twice in a "
                f"row",
                received=f"{output.shape[1]} steps",
                hint="wider images, or less pooling",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are rows of symbols, filled up with −1.

        Raises:
            ModelError: another dtype, shape or range.
        """
        whole = target.ndim == 2 and not target.is_floating_point()
        if not whole or not bool(((target >= _PAD) & (target < len(self.classes))).all()):
            raise ModelError(
                "the targets are no rows of symbols",
                expected=f"integers (N, L) below {len(self.classes)}, filled up with −1",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, T, K + 1) and symbols (N, L)."""
        if output.ndim != 3 or target.ndim != 2 or len(output) != len(target):
            raise self._mismatch(output, target, f"logits (N, T, {self.outputs}) and symbols (N, L)")
        return widened(output), target

    def predict(self, output: Tensor) -> Tensor:
        """Return the symbols of each text, (N, T) int64 filled up with −1."""
        name, options = ("ctc-greedy", {}) if self.beam == 1 else ("ctc-prefix-beam", {"beam": self.beam})
        made = torch.full(output.shape[:2], _PAD, dtype=torch.int64)
        for row, logits in zip(made, output.detach().float().cpu(), strict=True):
            said = get(name, logits, kind="decoding", **options)
            row[: len(said)] = torch.tensor(said, dtype=torch.int64)
        return made

    def probabilities(self, output: Tensor) -> None:
        """Return None: there are too many texts."""
        return

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what was said of each example, (N, T), and its text, (N, L)."""
        return self.predict(output), target

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return Wilson's interval for the share of whole texts, or a bootstrap interval, over examples."""
        rows = []
        for said, true in zip(output.tolist(), target.tolist(), strict=True):
            one, other = ([s for s in row if s != _PAD] for row in (said, true))
            rows.append((edit_distance(one, other), len(other)))
        counts = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
        if self.metrics[0] == "sequence_accuracy":
            return wilson(int((counts[:, 0] == 0).sum()), len(counts), level)
        return bootstrap(_Ratio, counts[:, 0], counts[:, 1], level=level)


class _Ratio(Metric):
    """Σ outputs / Σ targets."""

    def __init__(self) -> None:
        self.above = self.below = 0.0

    def update(self, output: Tensor, target: Tensor) -> None:
        self.above, self.below = self.above + float(output.sum()), self.below + float(target.sum())

    def compute(self) -> float:
        return self.above / self.below if self.below else float("nan")

    def reset(self) -> None:
        self.above = self.below = 0.0
