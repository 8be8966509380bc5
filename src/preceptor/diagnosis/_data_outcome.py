"""What came of a run, as rules about data judge it: by loss and by predicted classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from preceptor.diagnosis._data_labels import classes, skill
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve

__all__ = ["apart", "goes_badly", "held_out", "neighbourly", "share"]

_BAD, _NEAREST, _ROWS = 0.5, 0.7, 32
_LITTLE = 0.2
_UNSKILLED = 0.3


def share(case: Case) -> float:
    """Return the share explained, `Case.explained`, at the best level of the loss; NaN where not known."""
    if case.explained is None:
        return math.nan
    return case.explained if math.isfinite(case.explained) else -math.inf


def goes_badly(case: Case, *, below: float = _BAD) -> bool:
    """Return whether the run diverged, explains too little, or hardly tells classes apart.

    Too little: less than ``below``, or than 0.7 of what the nearest neighbour among a few hundred samples
    does (which errs at most twice as often as need be: Cover & Hart, Nearest Neighbor Pattern
    Classification, 1967).
    Where the loss of a constant answer is not known: whether less than a fifth of the first loss is gone.
    """
    if case.diverged or skill(case) < _UNSKILLED:
        return True
    if case.explained is not None:
        return not share(case) >= max(below, _NEAREST * neighbourly(case))
    return bool(case.losses) and not case.improved >= _LITTLE


def neighbourly(case: Case) -> float:
    """Return the share of the targets' variation that nearest neighbours have in common; 0 where not known.

    1 − near/apart: see `preceptor.observation.probes.Batches`, ``facts["relation"]``.
    """
    relation: Any = case.facts.get("relation")
    if (
        not isinstance(relation, dict)
        or not relation.get("rows", 0) >= _ROWS
        or not relation.get("apart", 0) > 0
    ):
        return 0.0
    return max(0.0, 1 - float(relation["near"]) / float(relation["apart"]))


def held_out(case: Case) -> Curve:
    """Return the evaluation whose loss ends highest: the one on new data; empty without any."""
    curves = [curve for curve in case.evaluations.values() if len(curve)]
    return max(curves, key=lambda curve: curve.end if math.isfinite(curve.end) else math.inf, default=Curve())


def apart(case: Case) -> float:
    """Return the share explained on held-out data: 1 − L/L₀; NaN where not known."""
    curve, chance = held_out(case), _held_out_chance(case)
    if chance is None or chance <= 0 or not len(curve):
        return math.nan
    return 1 - curve.end / chance if math.isfinite(curve.end) else -math.inf


def _held_out_chance(case: Case) -> float | None:
    """L₀ of the held-out targets themselves where they are known, else that of training."""
    call = case.loss_call
    if case.chance is None or call is None or call["weighted"] or call["reduction"] != "mean":
        return case.chance
    if call.function in ("cross_entropy", "nll_loss") and not call["label_smoothing"]:
        shares = classes(case, "evaluation").shares.values()
        return -sum(p * math.log(p) for p in shares) or case.chance
    means, within = (case.signal(f"target_{name}", "evaluation").values for name in ("mean", "std"))
    if call.function != "mse_loss" or not len(means) or len(means) != len(within):
        return case.chance
    return float(np.mean(within**2) + np.var(means)) if np.isfinite([means, within]).all() else case.chance
