"""Which classes are predicted for which: from what the loss is given."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any

import torch
from torch import Tensor

from preceptor.observation.probes._tensors import readable

__all__ = ["Predictions", "predicted"]

_LATEST = 8
_CLASSES = 32
_BASE = 64
_SAMPLES = 512
_ON = 1.25
_SCORES = frozenset({"cross_entropy", "nll_loss", "multi_margin_loss"})
_THRESHOLDS = {"binary_cross_entropy_with_logits": 0.0, "binary_cross_entropy": 0.5, "soft_margin_loss": 0.0}


def predicted(function: str, scores: Any, target: Any) -> Tensor | None:
    """Return the class predicted for each of the first 512 samples; None where the call has no single ones.

    The largest score of each row, or, of binary losses, whether the score is above 0 (the probability above
    0.5).

    Example:
        >>> predicted("cross_entropy", torch.tensor([[0.1, 2.0], [3.0, 1.0]]), torch.tensor([1, 1])).tolist()
        [1, 0]
    """
    if not (readable(scores) and readable(target)):
        return None
    count = target.shape[0] if target.dim() else 0
    if target.numel() != count:
        return None
    if function in _SCORES and target.dim() == 1 and not target.is_floating_point():
        if scores.dim() == 2 and scores.shape[0] == count and 2 <= scores.shape[1] <= _CLASSES:
            return scores[:_SAMPLES].argmax(1)
    elif function in _THRESHOLDS and scores.numel() == count:
        return (scores.reshape(-1)[:_SAMPLES] > _THRESHOLDS[function]).to(torch.int64)
    return None


class Predictions:
    """Pairs of class and prediction at the latest looks: at most eight, none from before half of the steps.

    Example:
        >>> predictions = Predictions()
        >>> predictions.add(30, [0.0, 1.0, 1.0], [0.0, 0.0, 0.0])
        >>> predictions.to_plain()
        {'looks': 1, 'since': 30, 'counts': [0, 0, 1, 1, 0, 2]}
    """

    def __init__(self) -> None:
        self._latest: deque[Counter[float]] = deque()
        self._steps: deque[int] = deque()
        self.looks = self.told = self._told_at = 0
        self._total: Counter[float] = Counter()

    def add(self, step: int, classes: list[float], predictions: list[float]) -> None:
        """Take in one look."""
        self.looks += 1
        while self._latest and (len(self._latest) == _LATEST or self._steps[0] < step / 2):
            self._steps.popleft()
            self._total.subtract(self._latest.popleft())
        self._steps.append(step)
        # numbers, not pairs of them: containers that come by the hundred make the garbage collector run
        self._latest.append(Counter([c * _BASE + p for c, p in zip(classes, predictions, strict=False)]))
        self._total.update(self._latest[-1])

    def to_plain(self) -> dict[str, Any]:
        """Return the step of the first look that counts, and class, prediction, how often, in turns."""
        self.told, self._told_at = self.looks, self._steps[-1]
        counts: list[int] = []
        for code, count in self._total.items():
            if count > 0 and math.isfinite(code):
                counts += *divmod(int(code), _BASE), count
        return {"looks": len(self._latest), "since": self._steps[0], "counts": counts}

    @property
    def due(self) -> bool:
        """Whether to tell again: at the first eight looks, then at every fourth, or a quarter further on."""
        return (
            self.looks <= _LATEST
            or self.looks - self.told >= _LATEST // 2
            or self._steps[-1] >= _ON * self._told_at
        )
