"""What a report shows of a network that continues texts: what it writes, and what surprises it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from preceptor.report._format import clean, count, label, number
from preceptor.report._table import Table

__all__ = ["Compared", "Passage", "Sample", "TextSummary", "view"]

_LEVELS = 6  # of colour
_BITS = 12.0  # of one symbol that are shown in the strongest colour
_LONGEST = 2_000  # characters of a sample that are shown


class Sample(NamedTuple):
    """A text that the network wrote: when, how, and what."""

    title: str
    text: str


class Passage(NamedTuple):
    """A stretch of held-out text.

    Attributes:
        place: how many symbols stand before it.
        before: what stands there, as far as it is shown.
        symbols: each symbol as text, with −log₂ of the probability that the network gave it.
    """

    place: int
    before: str
    symbols: tuple[tuple[str, float], ...]


class Compared(NamedTuple):
    """A model and how well it predicts the same text; perplexity None where nothing is finite."""

    name: str
    nats: float
    bits_per_character: float


@dataclass(frozen=True)
class TextSummary:
    """What is shown of a network that continues texts.

    Attributes:
        part: the part of the text that was measured, such as ``"val"``.
        compared: models that predict that part, the network first.
        samples: what the network wrote.
        passages: what surprised it most.
        notes: what of the text the vocabulary does not have, and the like.
    """

    part: str
    compared: tuple[Compared, ...] = ()
    samples: tuple[Sample, ...] = ()
    passages: tuple[Passage, ...] = ()
    notes: tuple[str, ...] = ()


def view(text: TextSummary | None) -> dict[str, Any] | None:
    """Return it as the template shows it."""
    if text is None:
        return None
    return {
        "part": label(text.part, 40),
        "table": _compared(text.compared),
        "samples": [(label(s.title, 120), clean(s.text, _LONGEST)) for s in text.samples],
        "passages": [_passage(p) for p in text.passages],
        "notes": [clean(note, 400) for note in text.notes],
    }


def _compared(rows: Sequence[Compared]) -> Table | None:
    if not rows:
        return None
    shown = tuple(
        (label(row.name, 80), _perplexity(row.nats), number(row.nats), number(row.bits_per_character))
        for row in rows
    )
    head = ("model", "perplexity", "nats a symbol", "bits a character")
    return Table("The same text, predicted by others", head, shown)


def _perplexity(nats: float) -> str:
    return number(math.exp(nats)) if nats < 700 else "∞"


def _passage(passage: Passage) -> dict[str, Any]:
    mean = sum(bits for _, bits in passage.symbols) / max(len(passage.symbols), 1)
    return {
        "title": f"symbol {count(passage.place)}, {mean:.1f} bits a symbol",
        "before": clean(passage.before, 400),
        "symbols": [
            (_shown(symbol), min(_LEVELS - 1, int(_LEVELS * bits / _BITS)), f"{bits:.1f} bits")
            for symbol, bits in passage.symbols
        ],
    }


def _shown(symbol: str) -> str:
    return symbol.replace("\n", "↵\n")
