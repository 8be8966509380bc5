"""Rules: how many updates a run makes, and of how many samples each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preceptor.diagnosis._data_outcome import goes_badly
from preceptor.diagnosis._progress import Progress, progress
from preceptor.diagnosis._usual import FULL_BATCH, SECOND_ORDER
from preceptor.diagnosis.case import Case
from preceptor.diagnosis.finding import Finding
from preceptor.diagnosis.rule import rule

__all__ = ["batches_too_large", "too_few_updates"]

_FEW, _VERY_FEW = 100, 50
_SHORT = 5
_SURE = 3.0
_LARGE_BATCH, _USUAL = 128, 32
_LEAST, _PER_EPOCH, _VERY_LARGE = 3, 20, 4
_WORTH = 0.05


# ---------------------------------------------------------------------- epochs


@rule("too-few-epochs")
def too_few_updates(case: Case) -> Iterator[Finding]:
    """Training ends while the loss still falls, by as much as matters.

    G = what as many updates again should bring (`Curve.forecast`, on means of epochs where there are
    eight), L₀ = loss of a constant prediction. Counted where the loss falls in the second half by 3
    standard errors or more, G ≥ 0.1 L₀ (0.05 L₀ for up to 100 updates, 0.02 L₀ for up to 50: there noise
    hides the rest) and G ≥ a tenth of the loss at the end (a twentieth), and besides the run is short (up
    to 100 updates or 5 epochs) or bad (1 − L/L₀ < ½); without those it is only mentioned. Also where half
    is not learned in 50 updates; where nothing is learned (1 − L/L₀ ≤ 0.05), the loss falls beyond doubt and
    had one or two epochs or could get to half its level in twenty such runs; and where five epochs or fewer
    went in one direction without the slope getting less. Not where a schedule has brought the rate to its
    end, the validation loss has stopped falling, or two optimizers play against each other.

    Source: Hoffer, Hubara & Soudry, Train Longer, Generalize Better (2017).
    """
    way = progress(case)
    updates = way.updates
    if way.others or case.diverged or way.decayed or way.kind in SECOND_ORDER or not updates:
        return
    if way.stalled:
        return
    if updates <= _VERY_FEW and way.learned < 0.5 and (way.measured or way.forecast.falling > _SURE):
        yield _cut_short(case, way, alarm=True, confidence=0.65 if way.forecast.falling > _SURE else 0.5)
    elif way.worth_more:
        short = updates <= _FEW or way.passes <= _SHORT
        yield _cut_short(case, way, alarm=short or way.learned < 0.5, confidence=0.6 + 0.1 * short)
    elif _barely_begun(way):
        yield _cut_short(case, way, alarm=True, confidence=0.45)


def _barely_begun(way: Progress) -> bool:
    ahead = way.forecast
    if way.nothing_learned and way.measured:
        near = way.passes <= 2 or 20 * way.fall >= 0.5 * ahead.level
        return ahead.falling > 4 and near
    straight = way.passes <= _SHORT and way.straight_on
    return straight and ahead.falling > _SURE and way.learned < 0.8 and 10 * way.fall >= 0.5 * ahead.level


def _cut_short(case: Case, way: Progress, *, alarm: bool, confidence: float) -> Finding:
    ahead, updates = way.forecast, way.updates
    epochs = f" in {way.passes:.0f} epochs" if way.passes == way.passes else ""
    evidence: dict[str, Any] = {"updates": updates}
    if way.passes == way.passes:
        evidence["epochs"] = round(way.passes, 1)
    evidence |= {"loss at the end": case.ending, "fall of the second half in standard errors": ahead.falling}
    if ahead.gain > 0:
        evidence["expected of as many updates again"] = ahead.gain
    if case.explained is not None:
        evidence["share of a constant's loss that is gone"] = case.explained
    if ahead.gain > 0.02 * ahead.level:
        title = (
            f"Training ends after {updates} updates{epochs} while the loss still falls: as many again"
            " should bring it"
            f" from {ahead.level:.3g} to about {ahead.level - ahead.gain:.3g}."
        )
    elif ahead.falling > _SURE:
        title = (
            f"Training ends after {updates} updates{epochs} at {case.ending:.3g}, where the loss only begins"
            " to fall."
        )
    else:
        title = f"Training ends after {updates} updates{epochs}, before anything is learned."
    against = []
    if not len(way.validation):
        against.append("no validation loss was seen: whether it would follow is not known")
    if ahead.ratio >= 1.5:
        against.append("the loss falls in a line: a higher learning rate would do the same in less time")
    return Finding(
        "too-few-epochs",
        "warning" if alarm else "info",
        title,
        evidence,
        confidence=confidence,
        where=way.where,
        steps=(way.last_step,),
        effect=f"about {ahead.gain / ahead.level:.0%} of the loss is left lying" if ahead.gain > 0 else "",
        against=tuple(against),
    )


# ---------------------------------------------------------------------- batches


@rule("unsuitable-batch-size")
def batches_too_large(case: Case) -> Iterator[Finding]:
    """Name batches that are so large that they leave too few updates.

    U = updates, B = samples a batch. Named for 3 ≤ U ≤ 100 and B ≥ 128, at most 20 updates an epoch (with
    more of them it is epochs that lack), where the run is bad (1 − L/L₀ < ½, L₀ = loss of a constant
    prediction) or the loss still falls when training stops: as many updates again should bring what matters,
    or the second half brought 0.05 L₀, three standard errors sure. Batches of 32 would make B/32 times as
    many updates of as many samples, each with a gradient of which B cost only √(B/32) times less noise.
    Methods that want all the data at once (L-BFGS, Rprop), and small data sets, whose batches are of a usual
    size, do not count.

    Source: Masters & Luschi, Revisiting Small Batch Training (2018); McCandlish, Kaplan & Amodei, An
    Empirical Model of Large-Batch Training (2018).
    """
    way = progress(case)
    updates = way.updates
    if way.others or len(case.optimizers) > 1 or case.diverged or way.kind in FULL_BATCH:
        return
    if not _LEAST <= updates <= _FEW or way.batch < _LARGE_BATCH or way.steps_per_epoch > _PER_EPOCH:
        return
    slope = way.losses.slope(0.5)
    falls = way.worth_more or (slope.t < -_SURE and -slope.change > _WORTH * way.scale)
    if not (falls or way.learned < 0.5 or goes_badly(case)) or not case.improved > 0:
        return
    more = updates * way.batch // _USUAL
    an_epoch = way.steps_per_epoch
    yield Finding(
        "unsuitable-batch-size",
        "warning",
        f"Batches of {way.batch:,} leave {updates} updates in the whole run; batches of {_USUAL} would make"
        f" about {more:,}.",
        {
            "samples a batch": way.batch,
            "updates": updates,
            **({"updates an epoch": an_epoch} if an_epoch else {}),
            "updates in the same epochs with batches of 32": more,
            "fall of the loss over the second half": float(f"{-slope.change:.3g}"),
            "loss at the end": case.ending,
        },
        confidence=0.75 if 0 < an_epoch <= _VERY_LARGE else 0.5,
        where=way.where,
        steps=(way.last_step,),
        effect="the weights move too seldom to get where the data would take them",
        against=("more epochs with the same batches would do as well",),
    )
