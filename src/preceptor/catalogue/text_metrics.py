"""Metrics of models of text, over a stream of raw outputs and targets: perplexity, bits per character."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from preceptor.catalogue._checks import check_number
from preceptor.catalogue._measures import Metric, _labels, _scores, _Sums
from preceptor.catalogue._registry import registered

__all__ = ["Surprise", "bits_per_character", "perplexity"]

_KIND = "metric"
_SHAPES = "logits (N, K), target (N,), −100 where nothing counts → float"
_DOWN = {"better": "min", "targets": "categories"}
_DATA = "logits, y = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, -100])"
_IGNORED = -100


class Surprise(_Sums):
    """A function of the mean −log P of the true class, in nats; targets of −100 are left out.

    Example:
        >>> import torch
        >>> metric = Surprise(lambda nats: nats)
        >>> metric.update(torch.zeros(3, 4), torch.tensor([0, 1, -100]))
        >>> round(metric.compute(), 4)
        1.3863
    """

    def __init__(self, turned: Callable[[float], float]) -> None:
        super().__init__()
        self.turned = turned

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch: outputs (N, K), targets (N,)."""
        scores, labels = _scores(output).float(), _labels(output, target)
        nats = functional.cross_entropy(scores, labels, reduction="sum", ignore_index=_IGNORED)
        self._add("nats", nats.double())
        self._add("counted", (labels != _IGNORED).sum())
        self.count += len(labels)

    def compute(self) -> float:
        """Return the measure; NaN where nothing was counted."""
        return self.turned(self.mean())

    def mean(self) -> float:
        """Return the mean itself, in nats."""
        counted = int(self._sum("counted")) if self.count else 0
        return float(self._sum("nats")) / counted if counted else math.nan


@registered(
    kind=_KIND,
    name="perplexity",
    aliases=("ppl",),
    formula="exp((1/N) Σ_i −log softmax(z_i)_{y_i})",
    shapes=_SHAPES,
    when="models of text that have one vocabulary; the number of symbols that a model wavers between",
    pitfalls="depends on what counts as a symbol: models with other vocabularies cannot be compared by it",
    source="Jelinek et al., Perplexity: a Measure of the Difficulty of Speech Recognition Tasks, 1977",
    example=f"""
        >>> {_DATA}
        >>> metric = get('perplexity', kind='metric')
        >>> metric.update(logits, y)
        >>> round(metric.compute(), 4)
        2.0
        """,
    traits=_DOWN,
)
def perplexity() -> Metric:
    """Perplexity: how many equally likely symbols a model wavers between."""
    return Surprise(lambda nats: math.inf if nats > 700 else math.exp(nats))


@registered(
    kind=_KIND,
    name="bits-per-character",
    aliases=("bpc", "bits-per-symbol"),
    formula="(1/N) Σ_i −log₂ softmax(z_i)_{y_i} / characters, characters of the text that a symbol stands "
    "for, on average",
    shapes=_SHAPES,
    when="models of characters, words and pieces of words are compared with each other",
    pitfalls="characters must be those of the text itself, with blanks and line ends; unknown words are "
    "predicted as one symbol, which flatters a model of words",
    source="Shannon, Prediction and Entropy of Printed English, 1951",
    example=f"""
        >>> {_DATA}
        >>> metric = get('bits-per-character', kind='metric', characters=4.0)
        >>> metric.update(logits, y)
        >>> round(metric.compute(), 4)
        0.25
        """,
    traits=_DOWN,
)
def bits_per_character(characters: float = 1.0) -> Metric:
    """Bits per character: the length of the shortest code of a text, by the model's own probabilities."""
    check_number("bits-per-character", "characters", characters, 1e-9)
    return Surprise(lambda nats: nats / math.log(2) / characters)
