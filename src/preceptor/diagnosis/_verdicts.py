"""What a verdict on learning curves is, and the curves that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from preceptor.diagnosis.curve import Curve

__all__ = ["VERDICTS", "History", "Verdict"]

VERDICTS: Mapping[str, str] = {
    "ideal": "both losses fell together and came to rest, the gap between them is small",
    "settled": "the training loss fell and came to rest",
    "still learning": "the loss still falls when training ends",
    "no progress": "the loss never fell",
    "late start": "the loss stays at its first level for long, then falls",
    "too little capacity": "training and validation loss are flat, high and alike",
    "rate too high": "the loss falls fast, then stays flat at a high level",
    "rate too low": "the loss falls slowly, in an almost straight line",
    "inconsistent data": "the validation loss never follows the training loss",
    "overfitting": "the validation loss rises while the training loss falls",
    "validation easier": "the validation loss lies below the training loss",
    "oscillating": "the loss swings up and down by more than noise does",
    "diverged": "the loss grows beyond its start, or is not finite any more",
    "rate cut early": "a cut of the learning rate brought calm, and ended the progress",
    "unclear": "too few points, or nothing that stands out from the noise",
}
"""Every verdict, and what it means."""


@dataclass(frozen=True)
class Verdict:
    """One statement about a training's curves.

    Attributes:
        name: one of `VERDICTS`.
        title: one sentence with its numbers.
        confidence: 0 … 1, how surely the shape means this.
        evidence: the statistics that it rests on.
        cannot_tell: what would look the same in these curves, and what would tell it apart.
        causes: ids of causes that it may come from, likeliest first.
        since: the step or epoch at which it begins; None where it holds throughout.
    """

    name: str
    title: str
    confidence: float
    evidence: dict[str, Any] = field(default_factory=dict)
    cannot_tell: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    since: int | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "verdict": self.name,
            "title": self.title,
            "confidence": round(self.confidence, 3),
            "evidence": dict(self.evidence),
            "cannot_tell": list(self.cannot_tell),
            "causes": list(self.causes),
            "since": self.since,
        }


@dataclass(frozen=True)
class History:
    """The curves by their part, the lower the better: a loss, or 1 − accuracy where there is no loss."""

    train: Curve
    held_out: Curve
    rates: Curve
    train_accuracy: Curve
    held_out_accuracy: Curve
    noun: str
