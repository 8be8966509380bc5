"""Rules: a learning rate that is too high, from what its steps do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis._usual import usual_rates
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Floats
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["blown_up", "rate_too_high"]

_LARGE = 0.25  # of the weights' own norm, in one step
_LARGE_LATE = 0.05
_EARLY = 20
_HALF, _MOST = 0.5, 0.8
_SURE = 3.0
_FAR, _ENOUGH = 10.0, 50
_ROUNDING = 1 + 1e-6


@rule("learning-rate-too-high", early=True)
def blown_up(case: Case) -> Iterator[Finding]:
    """The loss is not finite any more after steps that were too long.

    ρ = ‖Δ‖/‖w‖ over all parameters (Δ = update, w = weights). Counted where an early step had ρ ≥ 1, or the
    loss had come to three times its start before; so not where the very first loss is not finite, as invalid
    data make it, nor where one operator overflows in a run that went well.

    Source: LeCun, Bottou, Orr & Müller, Efficient BackProp (1998).
    """
    way, curve = progress(case), case.losses
    bad = curve.first_not_finite
    if way.others or bad is None:
        return
    ratio, before = _early_ratio(way), curve.values[curve.steps < bad]
    climbed = len(before) >= 3 and float(before[-3:].max()) > 3 * abs(float(before[0])) > 0
    if ratio >= 1 or (bad > 0 and climbed):
        yield _not_finite(way, bad, ratio, before, _merged(case, bad))


def _merged(case: Case, step: int) -> int:
    """How many steps the point of the loss at a step stands for."""
    series = case.signal("loss", "train")
    return int(series.counts[int(np.searchsorted(series.steps, step))]) if len(series) else 1


def _not_finite(way: Progress, bad: int, ratio: float, before: Floats, among: int) -> Finding:
    evidence = {
        **way.rate_facts,
        "first loss that is not finite": bad if among == 1 else f"{bad} … {bad + among - 1}",
        "largest ‖Δ‖/‖w‖ of an early step": ratio,
    }
    if len(before):
        evidence["loss at the start"], evidence["largest loss before"] = float(before[0]), float(before.max())
    unusual = _unusual(way)
    return Finding(
        "learning-rate-too-high",
        "critical",
        f"The loss is not finite from step {bad + among - 1} on at the latest, after steps of up to"
        f" {ratio:.3g}"
        f" times the weights' norm ({way.kind}, learning rate {way.rate:g}).",
        evidence,
        confidence=0.8 if unusual else 0.65,
        where=way.where,
        steps=(bad,),
        effect="every weight is lost: nothing after that step is training",
        against=()
        if unusual
        else ("the rate is a usual one: what makes gradients so large may be the cause",),
    )


@rule("learning-rate-too-high")
def rate_too_high(case: Case) -> Iterator[Finding]:
    """Steps are so long that they overshoot, and the loss shows it.

    ρ = ‖Δ‖/‖w‖ over all parameters (Δ = update, w = weights). Found (a) where nothing is learned (1 − L/L₀ ≤
    0.05, L₀ = loss of a constant prediction), an early step had ρ ≥ ¼, and the loss rose above 1.2 times its
    start and L₀ or ended there; (b) where half is not learned, an early step had ρ ≥ 1, the loss rose above
    three times its start and L₀ and does not fall any more; (c) where the loss is flat, ρ stays above 0.05 to
    the end, ten times what settles, and a fifth or more of L₀ is left; (d) where half is not learned after 50
    updates or more, the rate is ten times the highest usual one or more, and early steps had ρ ≥ 0.05. Large
    steps alone mean nothing: new or tiny weights have them in every run. Not for two optimizers that play
    against each other.

    Source: LeCun, Bottou, Orr & Müller, Efficient BackProp (1998).
    """
    way = progress(case)
    if way.others or not way.moves:
        return
    ratios = way.update_ratios[1]
    if case.losses.first_not_finite is not None:
        return
    if _jumped(case, way):
        yield _stuck(case, way)
    elif len(ratios) >= 8 and _bounces(case, way):
        yield _bouncing(case, way)
    elif _absurd(way):
        yield _far_too_high(case, way)


def _early_ratio(way: Progress) -> float:
    ratios = way.update_ratios[1][:_EARLY]
    finite = ratios[~np.isnan(ratios)]
    return float(finite.max()) if len(finite) else 0.0


def _unusual(way: Progress) -> bool:
    return way.rate > _ROUNDING * usual_rates(way.kind, way.momentum)[1]


def _jumped(case: Case, way: Progress) -> bool:
    """Whether nothing is learned after early steps as long as the weights, and the loss rose."""
    ratio, values = _early_ratio(way), case.losses.values
    if len(values) < 5:
        return False
    begun = max(float(np.median(values[:2])), way.scale)
    if way.nothing_learned and ratio >= _LARGE:
        return bool((max(values[1:].max(), case.ending) if way.measured else case.ending) > 1.2 * begun)
    resting = way.forecast.falling < _SURE
    return bool(way.learned < _HALF and ratio >= 1 and resting and values[1:].max() > 3 * begun)


def _stuck(case: Case, way: Progress) -> Finding:
    curve, ratio = case.losses, _early_ratio(way)
    peak = int(np.argmax(curve.values))
    evidence = {
        **way.rate_facts,
        "largest ‖Δ‖/‖w‖ of an early step": ratio,
        "loss at the start": curve.first,
        "largest loss": float(curve.values[peak]),
        "at step": int(curve.steps[peak]),
        "loss at the end": case.ending,
    }
    if case.chance is not None:
        evidence["loss of a constant prediction"] = case.chance
    end = ", no better than a constant prediction" if way.nothing_learned else ""
    return Finding(
        "learning-rate-too-high",
        "critical" if way.nothing_learned else "warning",
        f"Early steps are {ratio:.2g} times as long as the weights, the loss jumps to"
        f" {curve.values[peak]:.3g} at step {curve.steps[peak]} and ends at {case.ending:.3g}{end}.",
        evidence,
        confidence=0.85 if _unusual(way) else 0.7,
        where=way.where,
        steps=(int(curve.steps[peak]),),
        effect="the weights are thrown to where hardly any gradient leads back",
        against=()
        if _unusual(way)
        else ("unscaled inputs make the same rate too high: look at their range",),
    )


def _bounces(case: Case, way: Progress) -> bool:
    """Whether steps stay long to the end, and the loss is flat far from good."""
    ratios = way.update_ratios[1]
    late = float(np.median(ratios[-max(4, len(ratios) // 4) :]))
    if not late >= _LARGE_LATE or way.looked_until < 0.5 or way.forecast.falling > _SURE:
        return False
    return case.explained is not None and case.explained < _MOST


def _absurd(way: Progress) -> bool:
    """Whether the rate is far beyond all that is usual, steps are long, and little is learned."""
    beyond = way.rate >= _FAR * usual_rates(way.kind, way.momentum)[1]
    little = way.measured and way.learned < _HALF and way.updates >= _ENOUGH
    return beyond and little and _early_ratio(way) >= _LARGE_LATE


def _far_too_high(case: Case, way: Progress) -> Finding:
    high, ratio = usual_rates(way.kind, way.momentum)[1], _early_ratio(way)
    return Finding(
        "learning-rate-too-high",
        "warning",
        f"The learning rate of {way.rate:g} is {way.rate / high:.2g} times the highest usual one for"
        f" {way.kind}: early steps are {ratio:.2g} times as long as the weights, and the loss ends at"
        f" {case.ending:.3g}.",
        {
            **way.rate_facts,
            "largest ‖Δ‖/‖w‖ of an early step": ratio,
            "share of a constant's loss that is gone": case.explained,
        },
        confidence=0.7,
        where=way.where,
        effect="the weights of the beginning are lost in a few steps, and those that follow jump about",
        against=("gradients that are tiny by themselves may ask for such a rate",),
    )


def _bouncing(case: Case, way: Progress) -> Finding:
    ratios = way.update_ratios[1]
    late = float(np.median(ratios[-max(4, len(ratios) // 4) :]))
    return Finding(
        "learning-rate-too-high",
        "warning",
        f"Steps are still {late:.0%} of the weights' norm at the end, and the loss stays at"
        f" {case.ending:.3g}.",
        {
            **way.rate_facts,
            "‖Δ‖/‖w‖ at the end": late,
            "share of a constant's loss that is gone": case.explained,
        },
        confidence=0.6 if _unusual(way) else 0.5,
        where=way.where,
        effect="the weights jump about the minimum instead of settling in it",
        against=("noisy labels or too small a model keep the loss as high: a tenth of the rate would tell",),
    )
