"""Rules: a learning rate that is too low, from where its steps lead."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from preceptor.diagnosis._order import line_of
from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis._usual import ADAPTIVE, SECOND_ORDER, usual_rates
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["clipped_too_short", "rate_too_low"]

_WORTH = 0.1
_HALF, _MOST = 0.5, 0.8
_HARDLY = 0.1
_SURE = 3.0
_CUT = 10.0  # times as long as what clipping leaves of a gradient


@rule("learning-rate-too-low")
def rate_too_low(case: Case) -> Iterator[Finding]:
    """Steps are so short that the run ends before it has got anywhere.

    Two things together. There is room: nothing is learned (1 − L/L₀ ≤ 0.05), or the loss falls in a line to
    the end, or falls significantly with a fifth or more of L₀ left, half of which ten times the fall of the
    second half would take. And steps are short: (a) updates ten steps or more apart have the same direction
    (median cosine ≥ 0.8) and the slope along the way is kept ((g·s)/(g′·s) ≥ 0.8, s = what the weights
    moved in between), so that one step as long as those ten would still go downhill; (b) over 100 updates or
    more the weights move by less than a tenth of their norm in all; (c) the loss falls in a straight line,
    which no noise, curvature or schedule bends; (d) Σ η/(1 − μ) < 0.5 for SGD: a gradient of norm 1 moves the
    weights by less than that over the whole run. Not for weights that do not move at all, for clipped steps,
    a schedule that decays to nothing, or two optimizers that play against each other; a range of usual rates
    is only named. Where L₀ is not known only (a) counts: a loss that hardly falls may be as good as it gets.

    Source: Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures (2012).
    """
    way = progress(case)
    if way.others or case.diverged or way.decayed or _clipped(case, way) or way.kind in SECOND_ORDER | {""}:
        return
    room = _room(case, way)
    if not room:
        return
    short = _short(case, way, room)
    if short:
        yield _creeping(case, way, room, short)


def _clipped(case: Case, way: Progress) -> bool:
    """Whether it is clipping that shortens the steps; adaptive methods divide the factor out again."""
    shares = case.signal("clipped").values
    return way.kind not in ADAPTIVE and bool(len(shares)) and float(shares.mean()) > 0.9


@rule("clipping-too-tight")
def clipped_too_short(case: Case) -> Iterator[Finding]:
    """Steps are so short that the run ends before it has got anywhere, and clipping is what shortens them.

    Where nearly every gradient g is cut to norm c, a step of SGD is η c / (1 − μ) long whatever ‖g‖ is. Named
    where all that speaks for a rate that is too low is there (see `rate_too_low`), more than 90 % of the
    gradients are cut, their median norm is at least 10 c, and the rate is not below what is usual. Methods
    that divide by the gradient's size cancel the factor and do not count, nor do gradients with a loss scale.

    Source: Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks (2013); Godbole
    et al., Deep Learning Tuning Playbook (2023).
    """
    way = progress(case)
    if (
        way.others
        or case.diverged
        or way.decayed
        or not _clipped(case, way)
        or way.kind in SECOND_ORDER | {""}
    ):
        return
    before, after = (_middle(case, name) for name in ("clip_norm", "total_grad_norm"))
    usual = way.rate >= usual_rates(way.kind, way.momentum)[0]
    if len(case.signal("grad_scale")) or not usual or not before >= _CUT * after > 0:
        return
    room = _room(case, way)
    short = _short(case, way, room) if room else {}
    if short:
        yield _held_back(case, way, before, after, short)


def _middle(case: Case, name: str) -> float:
    """The median of a signal's finite values; NaN without any."""
    values = np.asarray(case.signal(name).values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else math.nan


def _held_back(case: Case, way: Progress, before: float, after: float, short: dict[str, Any]) -> Finding:
    return Finding(
        "clipping-too-tight",
        "warning",
        f"Clipping cuts nearly every gradient from about {before:.3g} to {after:.3g}, and after {way.updates}"
        f" updates the loss is {case.ending:.4g}, from {case.losses.start:.4g}: {_in_words(short)}.",
        {
            **way.rate_facts,
            "share of steps that are clipped": float(np.mean(case.signal("clipped").values)),
            "norm before clipping": before,
            "after": after,
            "loss at the end": case.ending,
            **short,
        },
        confidence=0.8,
        where=line_of(case, "clip"),
        steps=(way.last_step,),
        effect=f"steps are {before / after:.3g} times as short as the gradients ask for",
        remedy=f"allow a norm of about {before:.2g}, so that only outliers are cut",
        against=("a learning rate that is as many times higher would do the same",),
    )


def _room(case: Case, way: Progress) -> str:
    """Why the run is not done; "" where it is."""
    if way.nothing_learned:
        return "nothing is learned"
    ahead = way.forecast
    if way.stalled or ahead.falling < _SURE or way.learned >= _MOST:
        return ""
    if ahead.ratio >= 1.5 and (way.worth >= _WORTH or (way.straight_on and way.learned < _HALF)):
        return "the loss falls in a line"
    if 10 * way.fall >= 0.5 * ahead.level:
        return "the loss still falls"
    return ""


def _short(case: Case, way: Progress, room: str) -> dict[str, Any]:
    """What shows that steps are short; empty where nothing does."""
    updates = way.updates
    found: dict[str, Any] = {}
    if way.straight_on:
        found["cosine of updates 10 steps or more apart"] = way.straight
        found["slope kept along the way"] = way.slope_kept
    went = way.travelled / max(way.looked_until, 1e-9)  # no further, even if all on in the same direction
    if updates >= 100 and way.moves and went <= _HARDLY:
        found["‖w − w₀‖/‖w₀‖ over the run, at most"] = went
    enough = updates >= (50 if room == "nothing is learned" else 200)
    if room != "the loss still falls" and enough and way.forecast.ratio >= 1.6 and way.forecast.falling > 5:
        found["fall of the second half / the quarter before"] = way.forecast.ratio
    if room == "nothing is learned" and way.kind in ("SGD", "ASGD") and way.rate_sum < 0.5:
        found["Σ η/(1 − μ)"] = way.rate_sum
    if not way.measured and not way.straight_on:
        return {}  # a loss that hardly falls may be as good as it gets: rewards, fine-tuning, two-sided games
    return found


def _creeping(case: Case, way: Progress, room: str, short: dict[str, Any]) -> Finding:
    updates, curve = way.updates, case.losses
    straight = "slope kept along the way" in short
    low, _ = usual_rates(way.kind, way.momentum)
    below = way.rate < low
    evidence = {
        **way.rate_facts,
        "updates": updates,
        "loss at the start": curve.start,
        "loss at the end": case.ending,
    }
    if case.explained is not None:
        evidence["share of a constant's loss that is gone"] = case.explained
    against = []
    if room == "the loss falls in a line" and not straight:
        against.append("more epochs at the same rate would do the same, and take longer")
    elif room == "nothing is learned":
        against.append(
            "small gradients of saturated or alike units look the same: compare the layers' gradients"
        )
    if way.kind in ADAPTIVE and not below and not straight:
        against.append("the rate is a usual one for this optimizer")
    confidence = 0.5 + 0.25 * straight + 0.1 * below + 0.05 * (len(short) > 1)
    return Finding(
        "learning-rate-too-low",
        "warning",
        f"After {updates} updates at {way.rate:g} ({way.kind}) the loss is {case.ending:.4g}, from"
        f" {curve.start:.4g}:"
        f" {room}, {_in_words(short)}.",
        {**evidence, **short},
        confidence=min(0.9, confidence),
        where=way.where,
        steps=(way.last_step,),
        effect="the run would take orders of magnitude more updates to get where a higher rate gets it",
        against=tuple(against),
    )


def _in_words(short: dict[str, Any]) -> str:
    kept = short.get("slope kept along the way")
    if kept is not None:
        return f"and {min(kept, 1.0):.0%} of the slope is left after ten steps in the same direction"
    went = short.get("‖w − w₀‖/‖w₀‖ over the run, at most")
    if went is not None:
        return f"and the weights have moved by {went:.2g} of their norm"
    total = short.get("Σ η/(1 − μ)")
    if total is not None:
        return f"and all steps together have a length of {total:.2g} for a gradient of norm 1"
    return "as steeply at the end as at the start"
