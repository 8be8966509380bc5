"""Verdicts on the training curve by itself."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis import _shapes as shapes
from preceptor.diagnosis._verdicts import History, Verdict
from preceptor.diagnosis.curve import Curve

__all__ = ["JUDGES"]

_POINTS = 5
_SURE = 3.0  # standard errors; 0.3 % of curves without a trend
_PLAIN = 5.0


def _diverged(history: History) -> Iterator[Verdict]:
    for part, curve in (("training", history.train), ("validation", history.held_out)):
        bad = curve.first_not_finite
        if bad is not None:
            yield Verdict(
                "diverged",
                f"The {part} {history.noun} is not finite from {bad} on.",
                1.0,
                {
                    "not finite since": bad,
                    "last finite value": float(curve.values[-1]) if len(curve) else None,
                },
                (
                    "a learning rate that is too high, a logarithm or division at 0, and invalid data end"
                    " alike",
                ),
                ("learning-rate-too-high", "numeric-instability", "invalid-values-in-data"),
                bad,
            )
            return
    rise = shapes.rise(history.train)
    if rise is not None and (history.train.diverged or rise.share > 0.5):
        yield Verdict(
            "diverged",
            f"The training {history.noun} rises from {rise.low:.4g} at {rise.since} to {rise.high:.4g}.",
            0.9 if history.train.diverged else 0.7,
            rise.evidence,
            ("a learning rate that is too high, or one rare huge gradient: the gradient norm would tell",),
            ("learning-rate-too-high", "missing-gradient-clipping"),
            rise.since,
        )


def _oscillating(history: History) -> Iterator[Verdict]:
    for part, curve in (("training", history.train), ("validation", history.held_out)):
        swing = shapes.swing(curve)
        if swing is not None:
            yield Verdict(
                "oscillating",
                f"The {part} {history.noun} swings by {swing.size:.3g} about {swing.level:.3g}, {swing.how}.",
                0.75 if part == "training" else 0.6,
                swing.evidence,
                (
                    "a learning rate near its limit, or data in a fixed order that repeats: a lower rate"
                    " calms the one and not the other",
                ),
                ("learning-rate-too-high", "data-not-shuffled", "unsuitable-batch-size"),
            )
            return


def _no_progress(history: History) -> Iterator[Verdict]:
    curve = history.train
    if len(curve) < _POINTS or curve.diverged:
        return
    slope, trend = curve.slope(), curve.trend()
    fallen = curve.start - curve.end
    if curve.first - curve.end > 5 * curve.noise > 0:
        return  # it fell at once
    if slope.t > -_SURE and trend.z > -_SURE and fallen <= max(3 * curve.noise, 0.03 * abs(curve.start)):
        yield Verdict(
            "no progress",
            f"The training {history.noun} stays at {curve.start:.4g}: it never falls beyond its noise.",
            0.85,
            {"slope in standard errors": slope.t, "Mann-Kendall z": trend.z, "noise": curve.noise},
            (
                "nothing is trained (no gradient, frozen or forgotten parameters), labels do not go with"
                " inputs, units are dead, or the rate is off by orders of magnitude: gradient norms tell",
            ),
            ("parameters-not-optimized", "detached-graph", "learning-rate-too-high", "learning-rate-too-low"),
        )


def _late_start(history: History) -> Iterator[Verdict]:
    late = shapes.late_start(history.train)
    if late is not None:
        yield Verdict(
            "late start",
            f"The training {history.noun} stays near {late.level:.4g} until {late.since}, then falls.",
            0.8,
            late.evidence,
            ("weights that start too small or alike, saturated units, or a warm-up of the rate",),
            ("bad-initialization", "unsuitable-hidden-activation", "learning-rate-too-low"),
            late.since,
        )


def _still_learning(history: History) -> Iterator[Verdict]:
    curve, ahead = history.train, history.train.forecast
    if len(curve) < 8 or ahead.falling < _SURE or _run_out(history.rates) or _followed(history):
        return
    evidence = {
        "expected of as much training again": ahead.gain,
        "level at the end": ahead.level,
        "fall of the second half in standard errors": ahead.falling,
        "fall from T/2 on / from T/4 to T/2": ahead.ratio,
    }
    straight = shapes.straight(curve) if ahead.falling > _PLAIN else None
    if straight is not None:
        yield Verdict(
            "rate too low",
            f"The training {history.noun} falls in an almost straight line, from {curve.start:.4g} to"
            f" {curve.end:.4g}.",
            0.7,
            {**evidence, **straight},
            (
                "too few epochs would look the same: in a straight line ten times the rate and ten times the"
                " steps do as much",
            ),
            ("learning-rate-too-low", "too-few-epochs", "unsuitable-optimizer"),
        )
    if curve.slope(0.7, 1.0).t > -2 or not _worth(curve):
        return
    yield Verdict(
        "still learning",
        f"The training {history.noun} still falls at the end: as much training again should bring it from"
        f" {ahead.level:.4g} to about {ahead.level - ahead.gain:.4g}.",
        0.65 if straight is not None else 0.75,
        evidence,
        ("what the validation loss will do from here on",) if not len(history.held_out) else (),
        ("too-few-epochs", "learning-rate-too-low"),
    )


def _run_out(rates: Curve) -> bool:
    """Whether a schedule was run to its end."""
    return len(rates) > 1 and float(rates.values[-1]) < 0.1 * float(rates.values.max())


def _followed(history: History) -> bool:
    """Whether the validation loss rises, or has stopped falling."""
    held_out = history.held_out
    if shapes.rise(held_out) is not None:
        return True
    return (
        len(held_out) >= 8
        and held_out.slope(0.6, 1.0).t > -1
        and held_out.forecast.gain < 0.02 * held_out.end
    )


def _worth(curve: Curve) -> bool:
    """Whether as much training again should bring a tenth of the level, and a hundredth of the way so far."""
    ahead = curve.forecast
    return ahead.gain >= max(0.1 * abs(ahead.level), 0.01 * (curve.start - ahead.level))


def _settled(history: History) -> Iterator[Verdict]:
    curve = history.train
    if len(curve) < 8 or curve.diverged or shapes.rise(curve) is not None or not curve.slope().change < 0:
        return
    fallen = curve.start - curve.end
    if (
        fallen < 0.5 * abs(curve.start)
        or curve.slope().t > -2
        or (_worth(curve) and curve.forecast.falling > 2)
    ):
        return
    tell = () if len(history.held_out) else ("how it does on new data",)
    yield Verdict(
        "settled",
        f"The training {history.noun} falls from {curve.start:.4g} and comes to rest at {curve.end:.4g}.",
        0.6,
        {**shapes.summary(curve), "expected of as much training again": curve.forecast.gain},
        tell,
    )


def _plateau(history: History) -> Iterator[Verdict]:
    """Fast fall, then flat and high: the rate, the capacity, the data, or as good as it gets."""
    curve = history.train
    flat = shapes.plateau(curve)
    if flat is None:
        return
    gap = shapes.gap(curve, history.held_out)
    alike = gap is not None and abs(gap.t) < _SURE
    others = "as good as these data allow, if labels or targets are noisy; conflicting labels look the same"
    if flat.fast and flat.noisy:
        name, confidence = "rate too high", 0.6
        tell: tuple[str, ...] = ("too little capacity: a lower rate would change nothing then", others)
        causes = ("learning-rate-too-high", "capacity-too-low", "bad-labels")
    else:
        name, confidence = "too little capacity", 0.65 if alike else 0.5
        tell = ("a rate that is too high: a lower one would help then", others)
        causes = ("capacity-too-low", "learning-rate-too-high", "bad-labels")
    yield Verdict(
        name,
        f"The training {history.noun} is flat at {flat.level:.4g} from {flat.since} on, {flat.left:.0%}"
        " of where it"
        " began.",
        confidence,
        {**flat.evidence, **({} if gap is None else gap.evidence)},
        tell,
        causes,
        flat.since,
    )


def _cut(history: History) -> Iterator[Verdict]:
    cut = shapes.cut_gain(history.train, history.rates)
    if cut is None:
        return
    if not cut.was_falling and cut.t > _SURE and cut.share > 0.1:
        yield Verdict(
            "rate too high",
            f"The training {history.noun} was flat until the learning rate was cut at {cut.since}: then"
            " it fell by"
            f" {cut.size:.3g}.",
            0.85,
            cut.evidence,
            (),
            ("learning-rate-too-high",),
            cut.since,
        )
    elif cut.was_falling and not cut.falls_on and cut.size <= 3 * cut.noise:
        yield Verdict(
            "rate cut early",
            f"The cut of the learning rate at {cut.since} brought {cut.size:.3g}, no more than the noise"
            " was, and"
            " the loss fell faster before.",
            0.6,
            cut.evidence,
            ("a loss that had arrived at its floor anyway",),
            ("scheduler-misuse",),
            cut.since,
        )


JUDGES = (
    _diverged,
    _oscillating,
    _no_progress,
    _late_start,
    _still_learning,
    _plateau,
    _settled,
    _cut,
)
