"""Why a loss does not move: plateau, saddle, dead units, symmetry, bad conditioning …, told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.curve import Curve

__all__ = ["STALLS", "Stall", "flat_stretch", "stall"]

STALLS = {
    "missing gradient": "the loss sends no gradient to the weights",
    "rate near zero": "there is a gradient, and steps are too short to follow it",
    "dead units": "most units of a layer are zero for every sample: no gradient passes",
    "saturated units": "most units of a layer sit at a bound, where their derivative is almost zero",
    "symmetry": "units of a layer are equal, get equal gradients and stay equal",
    "saddle": "the slope grows along the way: negative curvature, a way out that is still flat",
    "plateau": "the slope is small and stays as it is along the way: a flat region",
    "bad conditioning": "steps go back and forth across a valley, and hardly along it",
    "noise floor": "steps are as long as ever and lead nowhere: they jump about a minimum",
    "minimum": "gradient and steps have shrunk together: there is nothing to gain nearby",
}
"""Every kind of stall, and what it means."""

_HALF = 0.5
_TINY_STEP, _LONG_STEP = 1e-6, 1e-2
_SURE = 3.0
_STEEPER, _SAME = 1.15, 0.8
_BACK = -0.3
_UNEVEN = 1e3
_WORTH_SAYING = 0.2


@dataclass(frozen=True)
class Stall:
    """One explanation of a loss that does not move.

    Attributes:
        kind: one of `STALLS`.
        score: −1 … 1: what speaks for it less what speaks against it.
        evidence: what speaks for it, in words with numbers.
        against: what speaks against it.
        layers: modules or parameters that are concerned.
        since: the step from which the loss does not move.
        causes: ids of causes that lead there.
    """

    kind: str
    score: float
    evidence: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    since: int = 0
    causes: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "kind": self.kind,
            "meaning": STALLS[self.kind],
            "score": round(self.score, 3),
            "evidence": list(self.evidence),
            "against": list(self.against),
            "layers": list(self.layers),
            "since": self.since,
            "causes": list(self.causes),
        }


def flat_stretch(curve: Curve) -> Curve | None:
    """Return the longest stretch up to the end in which a curve does not move beyond its noise.

    Half, then a quarter of the run are tried after the whole: flat where a line through it changes by less
    than 3 standard errors, or by less than 1 % of its level, and no trend is found (|z| < 3) or it is as
    small.
    """
    for begin in (0.0, 0.25, 0.5, 0.75):
        part = curve.part(begin)
        if len(part) < 8:
            break
        line, trend = part.slope(), part.trend()
        small = abs(line.change) <= 0.01 * abs(line.level)
        if small or (abs(line.t) < _SURE and abs(trend.z) < _SURE):
            return part
    return None


def stall(case: Case) -> list[Stall]:
    """Explain why the training loss does not move, likeliest first; empty where it does, or has arrived.

    Each kind weighs what speaks for it and against it among gradient norms, ‖Δ‖/‖w‖, shares of saturated
    and inactive units, constant weights, cos(Δ, Δ′) and what is left of the slope along the way,
    (g·s)/(g′·s), which is about 1 − s·Hs/(−g′·s): above 1 where the curvature along the way is negative, 1
    where there is none, 0 at the bottom, negative beyond it. Kinds that only the loss speaks for are left
    out; what cannot be told apart has the same score.

    Source: Dauphin et al., Identifying and Attacking the Saddle Point Problem (2014); Glorot & Bengio,
    Understanding the Difficulty of Training Deep Feedforward Neural Networks (2010).
    """
    way = progress(case)
    flat = flat_stretch(way.losses)
    if flat is None or way.learned > 0.9 or case.diverged:
        return []
    since = int(flat.steps[0])
    seen = _Seen(case, way, since)
    found = [weighed for judge in _JUDGES if (weighed := judge(seen)) is not None]
    found = [replace(one, since=since) for one in found if one.score >= _WORTH_SAYING]
    return sorted(found, key=lambda one: -one.score)


class _Seen:
    """What was measured within the flat stretch."""

    def __init__(self, case: Case, way: Progress, since: int) -> None:
        self.case, self.way, self.since = case, way, since
        self.gradients = self._late(*way.total("grad_norm"))
        self.updates = self._late(*way.total("update_norm"))
        self.ratios = self._late(*way.update_ratios)
        self.kept = self._of("slope_kept")
        self.cosines = self._of("update_cosine")

    def _late(self, steps: Any, values: Any) -> Any:
        return values[steps >= self.since] if len(values) == len(steps) else values[:0]

    def _of(self, name: str) -> Any:
        apart = self.way.along(name, since=self.since)  # over single steps the slope hardly changes anywhere
        return apart if len(apart) >= 3 else self.way.along(name, 1, self.since)

    def layers(self, name: str) -> dict[str, float]:
        """The median of a layer's signal within the stretch."""
        found = {}
        for layer, series in self.case.signals(name).items():
            values = series.values[series.steps >= self.since]
            if len(values):
                found[layer] = float(np.median(values))
        return found

    @property
    def ratio(self) -> float:
        return _median(self.ratios)

    @property
    def pulls(self) -> bool:
        """Whether there is a gradient."""
        return bool(len(self.gradients)) and _median(self.gradients) > 0


def _median(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan


def _stall(
    kind: str, found: Iterator[tuple[float, str]], causes: tuple[str, ...], layers: tuple[str, ...] = ()
) -> Stall | None:
    """Weigh statements: positive ones speak for it, negative ones against it; the score is their sum."""
    told = list(found)
    if not any(weight > 0 for weight, _ in told):
        return None
    return Stall(
        kind,
        max(-1.0, min(1.0, sum(weight for weight, _ in told))),
        tuple(text for weight, text in told if weight > 0),
        tuple(text for weight, text in told if weight < 0),
        layers,
        causes=causes,
    )


# ---------------------------------------------------------------------- no step


def _missing_gradient(seen: _Seen) -> Stall | None:
    dead = [name for name, value in seen.layers("grad_norm").items() if value == 0]

    def told() -> Iterator[tuple[float, str]]:
        if len(seen.gradients) and _median(seen.gradients) == 0:
            yield 1.0, f"the gradient is exactly zero at {int(np.sum(seen.gradients == 0))} looks"
        elif dead:
            yield (
                0.5,
                f"{len(dead)} of {len(seen.layers('grad_norm'))} parameters have a gradient of exactly zero",
            )
            yield -0.2, "others have one"

    causes = ("detached-graph", "unsuitable-output-activation", "frozen-parameters")
    return _stall("missing gradient", told(), causes, tuple(dead))


def _no_rate(seen: _Seen) -> Stall | None:
    def told() -> Iterator[tuple[float, str]]:
        if not seen.pulls or not len(seen.ratios):
            return
        ratio, lost = seen.ratio, seen.layers("lost_update_share")
        if ratio < _TINY_STEP:
            yield 0.7, f"a step moves the weights by {ratio:.1g} of their norm"
        if lost and _median(np.array(list(lost.values()))) > _HALF:
            yield 0.5, "most updates are lost to rounding"
        if seen.way.decayed:
            yield (
                0.4,
                f"the schedule has brought the rate from {seen.way.rate:g} to {seen.way.rates.last:.1g}",
            )
        elif ratio > 1e-4:
            yield -0.7, f"a step moves the weights by {ratio:.1g} of their norm"

    return _stall("rate near zero", told(), ("learning-rate-too-low", "scheduler-misuse"))


# ---------------------------------------------------------------------- units


def _idle(seen: _Seen, signal: str, kind: str, causes: tuple[str, ...]) -> Stall | None:
    shares = seen.layers(signal)
    hidden = dict(list(shares.items())[:-1]) if signal == "saturated_share" and len(shares) > 1 else shares
    bad = {layer: share for layer, share in hidden.items() if share >= _HALF}

    def told() -> Iterator[tuple[float, str]]:
        for layer, share in sorted(bad.items(), key=lambda pair: -pair[1])[:1]:
            yield 0.4 + 0.5 * share, f"{share:.0%} of {layer or 'the activation'} are {kind.split()[0]}"
        if bad and seen.ratio > _LONG_STEP:
            yield -0.2, "steps are long all the same: the rest of the net is trained"

    return _stall(kind, told(), causes, tuple(bad))


def _dead(seen: _Seen) -> Stall | None:
    return _idle(seen, "inactive_units", "dead units", ("learning-rate-too-high", "bad-initialization"))


def _saturated(seen: _Seen) -> Stall | None:
    causes = ("unsuitable-hidden-activation", "unscaled-inputs", "bad-initialization")
    return _idle(seen, "saturated_share", "saturated units", causes)


def _symmetry(seen: _Seen) -> Stall | None:
    constant = {}
    for step, structure in seen.case.structures.items():
        for value in structure.graph.parameters:
            known = value.statistics
            if len(value.shape) > 1 and value.shape[0] > 1 and known is not None and known.std == 0:
                constant[value.label] = (step, known.mean)

    def told() -> Iterator[tuple[float, str]]:
        for name, (step, mean) in list(constant.items())[:1]:
            yield (
                0.8,
                f"all weights of {name} are {mean:.3g} at step {step}: its units are copies of each other",
            )

    return _stall("symmetry", told(), ("bad-initialization",), tuple(constant))


# ---------------------------------------------------------------------- the landscape


def _saddle(seen: _Seen) -> Stall | None:
    kept = _median(seen.kept)

    def told() -> Iterator[tuple[float, str]]:
        if len(seen.kept) < 3 or not kept > _STEEPER:
            return
        yield 0.6, f"the slope along the way becomes {kept:.2f} times as steep from look to look"
        if len(seen.gradients) >= 4 and seen.gradients[-1] > 1.5 * seen.gradients[0]:
            yield 0.2, f"the gradient grows from {seen.gradients[0]:.2g} to {seen.gradients[-1]:.2g}"
        if _median(seen.cosines) < 0:
            yield -0.3, "updates go back and forth"

    return _stall("saddle", told(), ("bad-initialization", "learning-rate-too-low"))


def _plateau(seen: _Seen) -> Stall | None:
    kept, cosine = _median(seen.kept), _median(seen.cosines)

    def told() -> Iterator[tuple[float, str]]:
        if len(seen.kept) < 3 or not _SAME <= kept <= _STEEPER:
            return
        yield 0.4, f"{kept:.0%} of the slope along the way is left from look to look"
        if cosine > 0.8:
            yield 0.3, f"updates keep their direction (cosine {cosine:.2f})"
        elif cosine < 0.3:
            yield -0.3, f"updates do not keep their direction (cosine {cosine:.2f})"

    return _stall(
        "plateau", told(), ("learning-rate-too-low", "unsuitable-hidden-activation", "bad-initialization")
    )


def _conditioning(seen: _Seen) -> Stall | None:
    kept, cosine = _median(seen.kept), _median(seen.cosines)
    uneven = _unevenness(seen)

    def told() -> Iterator[tuple[float, str]]:
        if len(seen.kept) >= 3 and kept < _BACK:
            yield 0.3, f"the slope along the way turns: {kept:.2f} of it is left from look to look"
            if cosine < _BACK:
                yield 0.2, f"updates go back and forth (cosine {cosine:.2f})"
        if uneven > _UNEVEN:
            yield 0.3, f"‖g‖/‖w‖ differs by a factor of {uneven:.1g} between weights"
        if cosine > 0.8:
            yield -0.4, f"updates keep their direction (cosine {cosine:.2f})"

    return _stall(
        "bad conditioning", told(), ("unsuitable-optimizer", "unscaled-inputs", "learning-rate-too-high")
    )


def _unevenness(seen: _Seen) -> float:
    weights = seen.layers("weight_norm")
    pulls = {
        name: g / weights[name]
        for name, g in seen.layers("grad_norm").items()
        if weights.get(name, 0) > 0 < g
    }
    pulls = {name: value for name, value in pulls.items() if not name.endswith("bias")}
    return max(pulls.values()) / min(pulls.values()) if len(pulls) > 1 else 1.0


def _noise_floor(seen: _Seen) -> Stall | None:
    cosine, kept = _median(seen.cosines), _median(seen.kept)

    def told() -> Iterator[tuple[float, str]]:
        if len(seen.cosines) < 3 or abs(cosine) > 0.3 or not seen.pulls:
            return
        if seen.ratio > _LONG_STEP:
            yield (
                0.5,
                f"steps are {seen.ratio:.1%} of the weights' norm, in any direction (cosine {cosine:.2f})",
            )
        if kept < 0.3:
            yield 0.1, f"nothing of the slope is left along the way ({kept:.2f})"

    return _stall("noise floor", told(), ("learning-rate-too-high", "unsuitable-batch-size", "bad-labels"))


def _minimum(seen: _Seen) -> Stall | None:
    gradients = seen.way.total("grad_norm")[1]

    def told() -> Iterator[tuple[float, str]]:
        if not seen.pulls or len(gradients) < 6 or len(seen.gradients) < 2:
            return
        shrunk = _median(seen.gradients[-3:]) / max(float(np.nanmax(gradients[:3])), 1e-30)
        if shrunk < 0.1 and _median(seen.kept) < _SAME:
            yield 0.5, f"the gradient has shrunk to {shrunk:.1%} of what it was"
        if seen.way.learned < 0.1:
            yield -0.4, "hardly anything is learned there"

    return _stall("minimum", told(), ("capacity-too-low",))


_JUDGES: tuple[Callable[[_Seen], Stall | None], ...] = (
    _missing_gradient,
    _no_rate,
    _dead,
    _saturated,
    _symmetry,
    _saddle,
    _plateau,
    _conditioning,
    _noise_floor,
    _minimum,
)
