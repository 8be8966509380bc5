"""A cause: what it means, how it comes about, how it is known, what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["FAMILIES", "Cause"]

FAMILIES = ("optimisation", "outputs and loss", "data", "model", "procedure", "precision and resources")


@dataclass(frozen=True)
class Cause:
    """One cause.

    Arguments:
        id: its name in findings, options and baselines; never changes.
        family: one of `FAMILIES`.
        meaning: what is wrong, in one sentence.
        mechanism: why that hurts, with the formula where there is one.
        recognised: what evidence shows it, and when that counts.
        confused: ids of causes that look alike, each with what tells them apart.
        remedy: what to do, in the imperative, one line.
        explains: ids of causes whose signs follow from this one: they are not named beside it as long as
            this one is certain.
        source: paper or manual (year).
    """

    id: str
    family: str
    meaning: str
    mechanism: str = ""
    recognised: str = ""
    confused: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""
    explains: tuple[str, ...] = ()
    source: str = ""
