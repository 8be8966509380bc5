"""Translation: a sequence of symbols from another one, whose length is its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from preceptor.catalogue import entry
from preceptor.errors import ConfigError, UnknownName
from preceptor.tasks.language import SymbolTask

__all__ = ["Translation"]

_IGNORED = -100


@dataclass(frozen=True)
class Translation(SymbolTask):
    """The target's next symbol, given the source and the true symbols before it; −100 does not count.

    Loss, perplexity and accuracy are of these predictions. What a network writes by itself is measured by
    BLEU, in the end: `preceptor.Run.evaluate`, and the report.

    Example:
        >>> task = Translation(5000)
        >>> task.outputs, task.loss, task.metrics
        (5000, 'cross-entropy', ('perplexity', 'accuracy'))
    """

    name: ClassVar[str] = "translation"

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if _is_of_sequences(metric):
                raise ConfigError(
                    f"{metric} is of translations, which a network writes after its training",
                    expected="measures of the next symbol: perplexity, accuracy, …",
                    received=f"metrics: {metric}",
                    hint="evaluate, and the report, tell it whatever the metrics are",
                )
        super().__post_init__()

    def counted(self, target: Tensor) -> int:
        """Return how many targets are no padding."""
        return int((target != _IGNORED).sum())


def _is_of_sequences(metric: Any) -> bool:
    try:
        return entry(metric, "metric").traits.get("targets") == "sequences"
    except UnknownName:
        return False
