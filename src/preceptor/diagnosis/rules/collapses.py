"""Rules: runs that had learned, and lost it within a few steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis._collapse import collapse
from preceptor.diagnosis._excess import excess, severity_of
from preceptor.diagnosis._order import line_of
from preceptor.diagnosis._progress import progress
from preceptor.diagnosis._success import goes_badly
from preceptor.diagnosis._usual import ADAPTIVE, FULL_BATCH
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["thrown_back"]

_TAIL = 10.0  # times the median norm of the gradient
_FAR = 10.0  # times the highest usual rate
_BATCH = 32  # samples: usual rates are those of such batches, and fewer ask for as many times lower ones


@rule("missing-gradient-clipping", "learning-rate-too-high")
def thrown_back(case: Case) -> Iterator[Finding]:
    """Name what lets single steps throw a run that had learned back to where it began.

    The loss had come down from L₀ (the loss of a constant prediction, else the first one), goes far beyond L₀
    within a few steps, and does not come down again or is not finite any more: see `collapse`. A rate that is
    too high shows from the beginning; a step of SGD is as long as its gradient, so where a run has come down
    it is single gradients that are exceptional, and clipping bounds them. At ten times the usual rates (those
    of batches of 32, in proportion to the samples of smaller ones), with clipping, or with methods whose
    steps are as long as the rate whatever the gradient, the rate is too high. Not for two optimizers that
    play against each other, methods for whole data sets, nor where at least half is explained in the end.

    Source: Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks (2013); Zhang
    et al., Why Gradient Clipping Accelerates Training (2020); Goyal et al. (2017).
    """
    way = progress(case)
    found = None if way.others or not goes_badly(case) else collapse(case.losses, way.scale)
    if found is None or way.kind in FULL_BATCH:
        return
    bounded = way.kind in ADAPTIVE or bool(len(case.signal("clip_norm"))) or bool(line_of(case, "clip"))
    clips = not bounded and excess(case) * max(1.0, _BATCH / (way.batch or _BATCH)) < _FAR
    tail = _tail(case)
    evidence: dict[str, Any] = {
        **way.rate_facts,
        "loss before": found.before,
        "largest loss then": found.peak,
        "at step": found.step,
        "loss after": found.after,
        "batches before with twice the loss of those beside them": found.spikes,
    }
    if math.isfinite(tail):
        evidence["largest norm of the gradient ÷ its median"] = tail
    yield Finding(
        "missing-gradient-clipping" if clips else "learning-rate-too-high",
        severity_of(case),
        f"The loss had come down to {found.before:.3g}, jumps to {found.peak:.3g} at step {found.step}, and"
        + (f" stays at {found.after:.3g}" if math.isfinite(found.after) else " is not finite in the end")
        + (": nothing clips the gradient." if clips else "."),
        evidence,
        confidence=0.75 if tail >= _TAIL or found.spikes else 0.7 if clips else 0.6,
        where=line_of(case, "step") if clips else way.where,
        steps=(found.step,),
        effect="a few steps of that length undo all that was learned",
        remedy="call torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward and step"
        if clips
        else "",
        against=("a smaller learning rate may do as well",) if clips else (),
    )


def _tail(case: Case) -> float:
    """The largest norm of the gradient as a multiple of its median, before it breaks down; NaN if unknown."""
    values = np.asarray(case.signal("total_grad_norm").values, dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    return float(values.max() / np.median(values)) if len(values) >= 3 else math.nan
