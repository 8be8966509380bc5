"""Language modelling: at each place of a text, the symbol that comes next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from preceptor.catalogue import get
from preceptor.catalogue.metrics import Metric
from preceptor.catalogue.text_metrics import Surprise
from preceptor.errors import ConfigError, DataError, ModelError
from preceptor.tasks._task import Task, widened
from preceptor.tasks.interval import bootstrap

__all__ = ["LanguageModelling", "SymbolTask"]

_IGNORED = -100
_LOSSES = ("cross-entropy", "smoothed-cross-entropy")


@dataclass(frozen=True)
class SymbolTask(Task):
    """One of K symbols, numbered 0…K−1, at each step of a sequence; targets of −100 do not count.

    Attributes:
        symbols: K, at least two.
        characters: that a symbol stands for, on average, where the text itself does not tell.

    Raises:
        DataError: fewer than two symbols.
        ConfigError: a loss or metric that does not suit.
    """

    suits: ClassVar[frozenset[str]] = frozenset({"categories"})

    symbols: int
    characters: float = 1.0

    def __post_init__(self) -> None:
        if self.symbols < 2:
            raise DataError(
                "a text needs symbols to tell apart",
                expected="at least two",
                received=f"{self.symbols}",
                hint="more text, or text.min_count=1",
            )
        super().__post_init__()
        if self.loss not in _LOSSES:
            raise ConfigError(
                f"the loss {self.loss!r} does not suit {self.name}",
                expected=" or ".join(map(repr, _LOSSES)),
                received=repr(self.loss),
            )

    def _default_loss(self) -> str:
        return "cross-entropy"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("perplexity", "accuracy")

    @property
    def outputs(self) -> int:
        """The number of symbols."""
        return self.symbols

    def _check_output(self, output: Tensor) -> None:
        shape = tuple(output.shape)
        if len(shape) != 3 or shape[2] != self.symbols:
            raise ModelError(
                "the model does not predict a symbol at each step",
                expected=f"output (N, T, {self.symbols}): one logit for each symbol at each step",
                received=f"output {shape}",
                hint="per_step=True for networks of the catalogue",
            )

    def check_targets(self, target: Tensor) -> None:
        """Check that the targets are symbols: integers (N, T) from 0 to K−1, or −100 where nothing counts.

        Raises:
            ModelError: another dtype, shape or range.
        """
        if target.is_floating_point() or target.is_complex() or target.ndim != 2:
            raise ModelError(
                "the targets are no symbols",
                expected="integers (N, T): the next symbol at each step",
                received=f"{target.dtype} of shape {tuple(target.shape)}",
            )
        counted = target[target != _IGNORED]
        if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < self.symbols:
            raise ModelError(
                "symbols are out of range",
                expected=f"0…{self.symbols - 1} for {self.symbols} symbols, or {_IGNORED}",
                received=f"smallest {int(counted.min())}, largest {int(counted.max())}",
            )

    def align(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N·T, K) and symbols (N·T,)."""
        if output.ndim != 3 or output.shape[:2] != target.shape:
            raise self._mismatch(output, target, f"logits (N, T, {self.symbols}) and symbols (N, T)")
        return widened(output).reshape(-1, output.shape[-1]), target.reshape(-1)

    def counted(self, target: Tensor) -> int:
        """Return how many targets count; in training all do, so that a GPU need not be asked."""
        if target.is_cuda and torch.is_grad_enabled():
            return target.numel()
        return int((target != _IGNORED).sum())

    def predict(self, output: Tensor) -> Tensor:
        """Return the most probable symbol at each step, (N, T) int64."""
        return output.argmax(-1)

    def probabilities(self, output: Tensor) -> Tensor:
        """Return the probability of each symbol at each step, (N, T, K), at least in float32."""
        return widened(output).softmax(-1)

    def surprises(self, output: Tensor, target: Tensor) -> Tensor:
        """Return −log P of each target in nats, (N, T); 0 where nothing counts."""
        logits, true = self.align(output, target)
        each = functional.cross_entropy(logits, true, reduction="none", ignore_index=_IGNORED)
        return each.reshape(target.shape)

    def example_losses(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of each sequence, (N,)."""
        counted = (target != _IGNORED).sum(1).clamp_min(1)
        return self.surprises(output, target).sum(1) / counted

    def compact(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of each sequence's surprises, (N,), and how many there are, (N,)."""
        return self.surprises(output, target).double().sum(1), (target != _IGNORED).sum(1)

    def interval(self, output: Tensor, target: Tensor, level: float = 0.95) -> tuple[float, float]:
        """Return a bootstrap interval for the headline measure, over stretches of text.

        Neighbouring symbols depend on each other, so that whole stretches are drawn again, as `compact` gave
        them. Of measures that do not follow from probabilities there is none: NaN.
        """
        meter = self._measure(self.metrics[0])
        if not isinstance(meter, Surprise):
            return math.nan, math.nan
        counted = target > 0
        return bootstrap(lambda: _Stretches(meter), output[counted], target[counted].double(), level=level)

    def meters(self, of: Any = None) -> dict[str, Metric]:
        """Return a new metric for each name in ``metrics``; batches of a text tell how long it is."""
        each = getattr(of, "characters_each", None) or self.characters
        found: dict[str, Metric] = {}
        first: Surprise | None = None
        for name in self.metrics:
            made = self._measure(name, each)
            if isinstance(made, Surprise) and first is not None:
                found[name] = _Turned(first, made)  # of the same sums, which are computed once
                continue
            first = made if isinstance(made, Surprise) else first
            found[name] = _Flat(made, self)
        return found

    def _measure(self, name: str, characters: float | None = None) -> Metric:
        options = {"characters": characters or self.characters} if name == "bits_per_character" else {}
        made: Metric = get(name, kind="metric", **options)
        return made


@dataclass(frozen=True)
class LanguageModelling(SymbolTask):
    """The symbol that comes next, at each place of a text.

    Example:
        >>> task = LanguageModelling(65)
        >>> task.outputs, task.loss, task.metrics
        (65, 'cross-entropy', ('perplexity', 'bits_per_character', 'accuracy'))
        >>> task.predict(torch.tensor([[[0.0, 3.0], [1.0, 0.0]]]))
        tensor([[1, 0]])
    """

    name: ClassVar[str] = "language-modelling"

    def _default_metrics(self) -> tuple[str, ...]:
        return ("perplexity", "bits_per_character", "accuracy")


class _Flat(Metric):
    """A metric of all steps that count, as if each were an example."""

    def __init__(self, metric: Metric, task: Task) -> None:
        self.metric, self.task = metric, task

    def update(self, output: Tensor, target: Tensor) -> None:
        logits, true = self.task.align(output, target)
        if not isinstance(self.metric, Surprise) and bool((true == _IGNORED).any()):
            logits, true = logits[true != _IGNORED], true[true != _IGNORED]
        self.metric.update(logits, true)

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()


class _Turned(Metric):
    """Another function of the mean surprise that a first metric measures."""

    def __init__(self, first: Surprise, other: Surprise) -> None:
        self.first, self.other = first, other

    def update(self, output: Tensor, target: Tensor) -> None:
        pass

    def compute(self) -> float:
        return self.other.turned(self.first.mean())

    def reset(self) -> None:
        pass


class _Stretches(Metric):
    """A function of the mean surprise, of stretches whose sums are known."""

    def __init__(self, of: Surprise) -> None:
        self.of, self.nats, self.counted = of, 0.0, 0.0

    def update(self, output: Tensor, target: Tensor) -> None:
        self.nats += float(output.sum())
        self.counted += float(target.sum())

    def compute(self) -> float:
        return self.of.turned(self.nats / self.counted) if self.counted else math.nan

    def reset(self) -> None:
        self.nats = self.counted = 0.0
