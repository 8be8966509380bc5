"""How far beyond the usual a learning rate is, and how bad a run that goes badly is."""

from __future__ import annotations

from preceptor.diagnosis._progress import progress
from preceptor.diagnosis._usual import usual_rates
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Severity

__all__ = ["excess", "severity_of", "usual"]

_ROUNDING = 1e-6


def excess(case: Case) -> float:
    """Return how many times the highest usual rate of the optimizer the learning rate is."""
    way = progress(case)
    return way.rate / usual_rates(way.kind, way.momentum)[1]


def usual(case: Case) -> bool:
    """Return whether the learning rate is at most what is usual for the optimizer, up to rounding."""
    return excess(case) <= 1 + _ROUNDING


def severity_of(case: Case) -> Severity:
    """Return "critical" for a run that diverged or learned nothing, "warning" for others that go badly."""
    return "critical" if case.diverged or progress(case).nothing_learned else "warning"
