"""Rules: models that fit too much."""

from __future__ import annotations

import math
from collections.abc import Iterator

from preceptor.diagnosis import _shapes as shapes
from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["overfitting"]

_RISE, _RISE_OF_ALL = 0.1, 0.05
_LEARNED = 0.1


@rule("overfitting")
def overfitting(case: Case) -> Iterator[Finding]:
    """The validation loss rises for good while the training loss falls.

    t = (V_end − V_min)/(σ √(1/n₁ + 1/n₂)) > 4 (V_min = lowest running mean, σ = noise of V), a rising trend
    since (Mann–Kendall), the rise at least a tenth of V_min and a twentieth of L₀ (loss of a constant
    prediction), the training loss below the validation loss, and a tenth of L₀ learned. Only mentioned where
    the program goes back
    to weights that it saved. Also where training is learned (1 − L/L₀ ≥ 0.8) and validation is not better
    than a constant all the time. One rise, a constant gap, or a gap that dropout explains do not count.

    Source: Prechelt, Early Stopping — But When? (1998).
    """
    way = progress(case)
    if way.others or case.diverged or way.nothing_learned:
        return
    if case.explained is not None and case.explained < _LEARNED:  # training itself goes wrong
        return
    for phase, curve in case.evaluations.items():
        rise = shapes.rise(curve)
        if rise is not None and _matters(rise, way) and case.ending < rise.high:
            yield _memorised(case, way, phase, curve, rise)
            return
    yield from _never_generalised(case, way)


def _matters(rise: shapes.Rise, way: Progress) -> bool:
    size = rise.high - rise.low
    return size > _RISE * abs(rise.low) and size > _RISE_OF_ALL * way.scale


def _memorised(case: Case, way: Progress, phase: str, curve: Curve, rise: shapes.Rise) -> Finding:
    back = _goes_back(case)
    evidence = {
        **rise.evidence,
        "passes": len(curve),
        "training loss at the end": case.ending,
        "training loss then": float(case.losses.part(0.0).values[case.losses.steps <= rise.since][-1:].mean())
        if len(case.losses) and int(case.losses.steps[0]) <= rise.since
        else math.nan,
    }
    return Finding(
        "overfitting",
        "info" if back else "warning",
        f"The validation loss rises from {rise.low:.3g} at step {rise.since} to {rise.high:.3g}, while"
        " the training"
        f" loss falls to {case.ending:.3g}.",
        {key: value for key, value in evidence.items() if value == value},
        confidence=0.8,
        where=phase.partition(":")[2].partition("<")[0],
        steps=(rise.since,),
        effect=f"on new data the last weights are {(rise.high / rise.low - 1):.0%} worse than those of step"
        f" {rise.since}"
        if rise.low > 0
        else "",
        against=("the program loads weights that it saved: perhaps the best ones",) if back else (),
    )


def _goes_back(case: Case) -> bool:
    """Whether a state is loaded after training has begun."""
    kinds = [event.kind for phrase in case.phrases for event in phrase.events]
    kinds += [event.kind for event in case.protocol.current]
    if "step" not in kinds:
        return False
    return "load_state_dict" in kinds[kinds.index("step") :]


def _never_generalised(case: Case, way: Progress) -> Iterator[Finding]:
    curve = way.validation
    if case.chance is None or case.explained is None or case.explained < 0.8 or len(curve) < 5:
        return
    if float(curve.values.min()) < 0.9 * case.chance or curve.end < 5 * case.ending:
        return
    yield Finding(
        "overfitting",
        "warning",
        f"The training loss falls to {case.ending:.3g}, the validation loss never comes below"
        f" {curve.values.min():.3g}:"
        f" no better than the {case.chance:.3g} of a constant prediction.",
        {
            "training loss": case.ending,
            "lowest validation loss": float(curve.values.min()),
            "loss of a constant prediction": case.chance,
            "passes": len(curve),
        },
        confidence=0.45,
        effect="the model knows its training samples and nothing else",
        against=("labels that do not go with inputs, or other preprocessing in validation, look the same",),
    )
