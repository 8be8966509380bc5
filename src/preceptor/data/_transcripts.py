"""Targets that are texts: symbol after symbol, without a place in the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._arrays import target_array
from preceptor.data._dataset import Array
from preceptor.errors import DataError

__all__ = ["TranscriptCoder", "symbols_of"]

_PAD = -1


def symbols_of(targets: Array) -> tuple[str, ...]:
    """Return the symbols that texts are made of, sorted.

    Raises:
        DataError: there are none.

    Example:
        >>> symbols_of(np.array(["31", "14"]))
        ('1', '3', '4')
    """
    found = tuple(sorted({symbol for text in targets.tolist() for symbol in str(text)}))
    if not found:
        raise DataError("the targets hold no text", expected="a text for each example", received="none")
    return found


@dataclass(frozen=True)
class TranscriptCoder:
    """Texts as rows of symbols, filled up with −1.

    Attributes:
        classes: the symbols.

    Example:
        >>> coder = TranscriptCoder(("1", "3", "4"))
        >>> coder.apply(np.array(["31", "4"])).tolist()
        [[1, 0], [2, -1]]
        >>> coder.texts(torch.tensor([[1, 0], [2, -1]]))
        ['31', '4']
    """

    kind: ClassVar[str] = "texts"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return int64 (N, L), L the length of the longest text.

        Raises:
            DataError: a symbol that is not known.
        """
        texts = [str(text) for text in target_array(raw).tolist()]
        index = {symbol: i for i, symbol in enumerate(self.classes)}
        unknown = sorted({symbol for text in texts for symbol in text if symbol not in index})
        if unknown:
            raise DataError(
                "a text has symbols that are unknown",
                expected="those of the training data: " + "".join(self.classes[:80]),
                received=", ".join(map(repr, unknown[:12])),
            )
        out = np.full((len(texts), max(map(len, texts), default=0) or 1), _PAD, np.int64)
        for row, text in zip(out, texts, strict=True):
            row[: len(text)] = [index[symbol] for symbol in text]
        return torch.from_numpy(out)

    def texts(self, coded: torch.Tensor) -> list[str]:
        """Return rows of symbols as texts."""
        return ["".join(self.classes[i] for i in row if i != _PAD) for row in coded.tolist()]

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}
