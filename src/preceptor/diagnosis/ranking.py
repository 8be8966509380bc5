"""From what rules found to what a person reads: merged, causes before consequences, best guess first."""

from __future__ import annotations

from collections.abc import Iterable

from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import SEVERITIES, Finding

__all__ = ["rank"]


def rank(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings of one cause, put what follows from another cause under it, and order the rest.

    Order: severity, then exact before statistical, then confidence. A statistical finding whose cause
    another finding's cause explains (`Cause.explains`) becomes a consequence of that one where the other
    is exact and at least as severe. A statistical warning that explains a graver one, and is surer, is taken
    to be as grave: the run is as bad as what follows from it. Of findings that are equal in all of this the
    cause comes before what it explains.
    """
    merged = _merged(findings)
    merged = sorted((_raised(finding, merged) for finding in merged), key=_order)
    kept: list[Finding] = []
    for finding in merged:
        parent = _parent(finding, merged)
        if parent is None:
            kept.append(finding)
    named = [
        finding.but(
            consequences=tuple(
                dict.fromkeys(
                    [*finding.consequences, *(f.title for f in merged if _parent(f, merged) is finding)]
                )
            )
        )
        for finding in kept
    ]
    return sorted(named, key=lambda finding: (*_order(finding), _follows(finding, named)))


def _raised(finding: Finding, others: list[Finding]) -> Finding:
    """The finding, as severe as the gravest statistical one that it explains and is surer than."""
    if finding.exact or finding.severity == "info":
        return finding
    severities = [finding.severity] + [
        other.severity
        for other in others
        if other.cause in CAUSES[finding.cause].explains
        and not other.exact
        and finding.confidence > other.confidence
    ]
    return finding.but(severity=max(severities, key=SEVERITIES.index))


def _follows(finding: Finding, others: list[Finding]) -> bool:
    """Whether another finding that is as severe and as sure explains it."""
    return any(
        finding.cause in CAUSES[other.cause].explains and _order(other) == _order(finding) for other in others
    )


def _order(finding: Finding) -> tuple[int, bool, float]:
    return -SEVERITIES.index(finding.severity), not finding.exact, -finding.confidence


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    best: dict[str, Finding] = {}
    for finding in findings:
        other = best.get(finding.cause)
        if other is None:
            best[finding.cause] = finding
            continue
        first, second = sorted((other, finding), key=_order)
        best[finding.cause] = first.but(
            evidence={**second.evidence, **first.evidence},
            layers=tuple(dict.fromkeys((*first.layers, *second.layers))),
            consequences=tuple(dict.fromkeys((*first.consequences, *second.consequences))),
            against=tuple(dict.fromkeys((*first.against, *second.against))),
        )
    return sorted(best.values(), key=_order)


def _parent(finding: Finding, others: list[Finding]) -> Finding | None:
    if finding.exact:
        return None
    return next(
        (
            other
            for other in others
            if other.exact
            and finding.cause in CAUSES[other.cause].explains
            and SEVERITIES.index(other.severity) >= SEVERITIES.index(finding.severity)
        ),
        None,
    )
