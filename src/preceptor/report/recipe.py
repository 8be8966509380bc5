"""The recipe in a report: what was checked before the training, where it stands, and what is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from preceptor.report._format import clean, label
from preceptor.report._table import Table

__all__ = ["RecipeSummary", "view"]

_MARKS = {"passed": "✓", "failed": "!", "skipped": "·"}
_SHOWN = 60


@dataclass(frozen=True)
class RecipeSummary:
    """What the recipe says of a run.

    Attributes:
        next: errors and next step, in a sentence.
        path: question, answer and the numbers behind it, as the decision tree was walked.
        checks: status (``"passed"``, ``"failed"`` or ``"skipped"``), what was seen, and what to do.
        foretold: what was said of time and memory before the training: label and text.

    Example:
        >>> view(RecipeSummary("training error 2 %: train longer"))["next"]
        'training error 2 %: train longer'
    """

    next: str = ""
    path: tuple[tuple[str, str, str], ...] = ()
    checks: tuple[tuple[str, str, str], ...] = ()
    foretold: tuple[tuple[str, str], ...] = ()


def view(summary: RecipeSummary | None) -> dict[str, Any] | None:
    """Return what the page shows of it; None where there is nothing."""
    if summary is None:
        return None
    path = tuple((clean(q, 120), label(a, 8), clean(why, 160)) for q, a, why in summary.path)
    checks = tuple(
        (_MARKS.get(status, "·"), clean(seen, 200), clean(remedy, 300) or "–")
        for status, seen, remedy in sorted(summary.checks, key=lambda one: one[0] != "failed")[:_SHOWN]
    )
    words = frozenset({0, 1, 2})
    return {
        "next": clean(summary.next, 400),
        "path": Table("How the recipe comes to it", ("question", "answer", "because"), path, text=words)
        if path
        else None,
        "checks": Table("Checks before training", ("", "seen", "what to do"), checks, text=words)
        if checks
        else None,
        "foretold": [(label(name, 20), clean(text, 200)) for name, text in summary.foretold],
    }
