"""What the rules of some families say of a watched training."""

from __future__ import annotations

import types

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import RULES
from preceptor.observation.observed import Observed


def findings(seen: Observed, *families: types.ModuleType, over: bool = True) -> dict[str, Finding]:
    """Every finding of the families' rules by its cause, the gravest where there are several."""
    names, case = {family.__name__ for family in families}, Case(seen, over=over)
    found = [
        finding
        for rule in RULES.values()
        if rule.find.__module__ in names and (over or rule.early)
        for finding in rule.find(case)
    ]
    grave = sorted(found, key=lambda finding: ("info", "warning", "critical").index(finding.severity))
    return {finding.cause: finding for finding in grave}


def alarms(seen: Observed, *families: types.ModuleType, over: bool = True) -> set[str]:
    """The causes that are warned of."""
    return {
        cause for cause, finding in findings(seen, *families, over=over).items() if finding.severity != "info"
    }
