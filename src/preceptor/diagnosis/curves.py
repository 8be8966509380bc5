"""Findings from learning curves alone: each verdict's likeliest cause, with its rivals beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from preceptor.diagnosis.finding import Finding, Severity
from preceptor.diagnosis.ranking import rank
from preceptor.diagnosis.verdict import Verdict

__all__ = ["findings_of", "told_by"]

_SEVERITIES: dict[str, Severity] = {
    "no progress": "warning",
    "too little capacity": "warning",
    "rate too high": "warning",
    "rate too low": "warning",
    "inconsistent data": "warning",
    "overfitting": "warning",
    "oscillating": "warning",
    "diverged": "critical",
}
_RIVALLED = 0.6


def findings_of(verdicts: Iterable[Verdict]) -> list[Finding]:
    """Return the causes that curves speak for, best guess first.

    A shape has several causes: the likeliest is named, at 0.6 of the verdict's confidence where there are
    others, which stand under ``against``. Shapes that a good run may have as well are no alarm.

    Example:
        >>> found = Verdict("oscillating", "It swings.", 0.5, causes=("learning-rate-too-high", "bad-labels"))
        >>> [(one.cause, one.severity, one.confidence) for one in findings_of([found])]
        [('learning-rate-too-high', 'warning', 0.3)]
    """
    return rank(_found(verdicts))


def told_by(verdicts: Iterable[Verdict]) -> list[str]:
    """Return what is to be said of curves that speak for no cause."""
    return [f"{verdict.name}: {verdict.title}" for verdict in verdicts if not verdict.causes]


def _found(verdicts: Iterable[Verdict]) -> Iterator[Finding]:
    for verdict in verdicts:
        if not verdict.causes:
            continue
        cause, *rivals = verdict.causes
        others = (f"of curves alone, {' or '.join(rivals)} would look the same",) if rivals else ()
        yield Finding(
            cause,
            _SEVERITIES.get(verdict.name, "info"),
            verdict.title,
            {"curves": verdict.name, **verdict.evidence},
            confidence=verdict.confidence * (_RIVALLED if rivals else 1.0),
            steps=() if verdict.since is None else (verdict.since,),
            against=(*others, *verdict.cannot_tell),
        )
