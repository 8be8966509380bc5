"""Findings as a page shows them: evidence, the user's own lines, what trying the remedies came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.diagnosis import show
from preceptor.report._format import as_float, clean, count, label, number, percent
from preceptor.report._source import Excerpt, excerpt
from preceptor.report._table import Table

if TYPE_CHECKING:
    from preceptor.diagnosis.finding import Finding
    from preceptor.report._words import Words

__all__ = ["Judgement", "Shown", "judgement"]

_TOLD_APART = ("evidence", "tried")  # these have tables of their own


@dataclass(frozen=True)
class Shown:
    """One finding, as finished texts.

    Attributes:
        key: its id on the page.
        cause: its id, linked to what is known of it.
        severity, where, title: as the finding has them.
        sure: how surely the evidence means this cause.
        evidence: what was measured, as pairs.
        code: the user's lines at that place; None where they cannot be read.
        tried: each remedy that was tried; None where none was.
        details: whatever else there is to say, as pairs.
    """

    key: str
    cause: str
    severity: str
    where: str
    title: str
    sure: str
    evidence: list[tuple[str, str]]
    code: Excerpt | None
    tried: Table | None
    details: list[tuple[str, str]]


@dataclass(frozen=True)
class Judgement:
    """All findings: the worst severity ("well" for none that alarms), a line, and each in full."""

    severity: str
    said: str
    findings: list[Shown]


def judgement(
    findings: Sequence[Finding] | None, words: Words, find: Callable[[str], Path | None] | None = None
) -> Judgement | None:
    """Return what the page says of findings; None where nobody has judged.

    Arguments:
        findings: best guess first.
        words: collects the causes that are explained at the page's end.
        find: gives the path of a file of the user's by its name.
    """
    if findings is None:
        return None
    severities = {finding.severity for finding in findings}
    worst = next((severity for severity in show.ALARMS if severity in severities), "well")
    said = show.counts(findings)
    shown = [_shown(i, finding, words, find) for i, finding in enumerate(findings, 1)]
    return Judgement(worst, said[:1].upper() + said[1:] + ".", shown)


def _shown(i: int, finding: Finding, words: Words, find: Callable[[str], Path | None] | None) -> Shown:
    details = [(what, clean(text, 1000)) for what, text in show.details(finding) if what not in _TOLD_APART]
    return Shown(
        f"finding-{i}",
        words.cause(finding.cause),
        finding.severity,
        label(finding.where, 120),
        _sentence(clean(finding.title, 600)),
        "exact" if finding.exact else f"confidence {percent(finding.confidence)}",
        [(label(key, 80), clean(show.value(given), 400)) for key, given in finding.evidence.items()],
        excerpt(finding.where, find) if find is not None else None,
        _tried(finding.verification or {}),
        details,
    )


def _sentence(title: str) -> str:
    """Begin with a capital, unless that is the name of a function or a module."""
    first = title.split(maxsplit=1)[0] if title.strip() else ""
    return title[:1].upper() + title[1:] if first.isalpha() and first.islower() else title


def _tried(verification: Mapping[str, Any]) -> Table | None:
    """Return a row for each trial, the one that counts first."""
    trials = [verification, *verification.get("others", ())] if verification else []
    rows = tuple(_trial(trial) for trial in trials)
    head = (
        "change",
        "result",
        "measured by",
        "unchanged",
        "changed",
        "95 % interval of the gain",
        "pairs",
        "steps",
    )
    note = "Twins of the training, one with the change and one without, from the same seeds."
    return Table("Remedies that were tried", head, rows, note, text=frozenset({0, 1, 2})) if rows else None


def _trial(trial: Mapping[str, Any]) -> tuple[str, ...]:
    improved = trial.get("improved")
    result = "helps" if improved else "no clear gain" if improved is False else "–"
    changes = clean(str(trial.get("text", "")).partition(": ")[0], 200)
    by = " on ".join(filter(None, (str(trial.get("measure") or ""), str(trial.get("judged_on") or ""))))
    pairs, steps = (trial.get(key) for key in ("pairs", "steps"))
    return (
        changes or clean(show.value(trial.get("change")), 200),
        result,
        label(by, 80) or "–",
        number(trial.get("baseline"), 3),
        number(trial.get("changed"), 3),
        _interval(trial.get("interval")),
        count(pairs) if isinstance(pairs, int) else "–",
        number(steps, 3),
    )


def _interval(given: Any) -> str:
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return "–"
    low, high = map(as_float, given)
    return "–" if math.isnan(low) or math.isnan(high) else f"{number(low, 3)} to {number(high, 3)}"
