"""The diagnosis of a run: every rule asked, the answers ranked."""

from __future__ import annotations

from collections.abc import Callable, Collection

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.ranking import rank
from preceptor.diagnosis.rule import load_rules
from preceptor.observation.observed import Observed

__all__ = ["diagnose"]


def diagnose(
    seen: Observed,
    *,
    over: bool = True,
    ignore: Collection[str] = (),
    complain: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Return the causes of what goes wrong in a run, best guess first; empty where all is well.

    Arguments:
        seen: what a watch observed.
        over: whether the run has ended; while it goes on only rules that may be asked early are.
        ignore: ids of causes that are not to be named.
        complain: told of a rule that failed, or of a family that could not be loaded; the others are asked
            all the same.

    Example:
        >>> from preceptor.observation.protocol import Protocol
        >>> from preceptor.observation.record import Record
        >>> diagnose(Observed(Record(), Protocol()))
        []
    """
    case, found = Case(seen, over=over), []
    for rule in load_rules(complain).values():
        if not (over or rule.early) or set(rule.causes) <= set(ignore):
            continue
        try:
            found += [finding for finding in rule.find(case) if finding.cause not in ignore]
        except Exception as error:  # noqa: BLE001 one rule's error must not cost the findings of the others
            if complain is not None:
                complain(f"the rule {rule.name} failed: {type(error).__name__}: {error}")
    return rank(found)
