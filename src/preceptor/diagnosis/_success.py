"""Whether a run goes well enough that a cause which only slows it down is not worth naming."""

from __future__ import annotations

import math

from preceptor.diagnosis._aims import Compared
from preceptor.diagnosis.case import Case

__all__ = ["breaks_suddenly", "goes_badly", "typical_error"]

_BAD = 0.5
_GROWN = 10.0
_BEFORE = 5


def goes_badly(case: Case, *, below: float = _BAD) -> bool:
    """Return whether the run diverged, or has explained less than a share of what there is to explain.

    The share is 1 − L / L₀, L₀ = the loss of the best constant answer (`Case.explained`); where that cannot
    be known: whether less than a fifth of the first loss is gone.
    """
    if case.diverged:
        return True
    if case.explained is not None:
        return not case.explained >= below
    return len(case.losses) > 0 and not case.improved >= 0.2


def typical_error(case: Case, one: Compared) -> float:
    """Return √L of a mean squared error, L of a mean absolute one, at the end; NaN for other losses."""
    means = all(row.get("reduction") == "mean" for row in one.rows)
    if not len(case.losses) or not means or not math.isfinite(case.losses.end):
        return math.nan
    if one.term.form == "squared error":
        return math.sqrt(max(case.losses.end, 0.0))
    return case.losses.end if one.term.form == "absolute error" else math.nan


def breaks_suddenly(case: Case) -> bool:
    """Return whether the loss turns into NaN or infinity without growing first.

    Its last five values before that stay below ten times its start.
    """
    losses = case.losses
    if losses.first_not_finite is None or not len(losses):
        return False
    ordinary = losses.values[losses.steps < losses.first_not_finite]
    if len(ordinary) < 2:
        return False
    return bool(max(abs(ordinary[-_BEFORE:])) < _GROWN * max(abs(losses.start), 1e-12))
