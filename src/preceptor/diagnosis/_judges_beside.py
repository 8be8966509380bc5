"""Verdicts on the validation curve beside the training curve."""

from __future__ import annotations

from collections.abc import Iterator

from preceptor.diagnosis import _shapes as shapes
from preceptor.diagnosis._verdicts import History, Verdict
from preceptor.diagnosis.curve import Curve

__all__ = ["JUDGES"]

_POINTS = 5
_SURE = 3.0
_NONE: tuple[str, ...] = ()


def _overfitting(history: History) -> Iterator[Verdict]:
    rise = shapes.rise(history.held_out)
    if rise is None:
        return
    train = history.train
    after = Curve(train.steps[train.steps >= rise.since], train.values[train.steps >= rise.since])
    if len(train) and len(after) >= 3 and after.slope().change > 0 and after.slope().t > 2:
        return  # both rise: that is divergence
    evidence, tell = dict(rise.evidence), []
    accuracy = history.held_out_accuracy
    if len(accuracy) >= _POINTS and history.noun == "loss":
        later = Curve(
            accuracy.steps[accuracy.steps >= rise.since], accuracy.values[accuracy.steps >= rise.since]
        )
        evidence["change of the validation accuracy since"] = later.slope().change
        if later.slope().t > -2:
            tell.append("the accuracy does not suffer: the model only grows too sure of its mistakes")
    if not len(train):
        tell.append("whether the training loss falls meanwhile")
    yield Verdict(
        "overfitting",
        f"The validation {history.noun} rises from {rise.low:.4g} at {rise.since} to {rise.high:.4g}"
        + (f" while the training {history.noun} goes on to {train.end:.4g}." if len(train) else "."),
        0.9 if not tell else 0.75,
        evidence,
        tuple(tell),
        ("overfitting", "too-little-data"),
        rise.since,
    )


def _never_follows(history: History) -> Iterator[Verdict]:
    train, held_out = history.train, history.held_out
    if len(held_out) < _POINTS or len(train) < _POINTS or shapes.rise(train) is not None:
        return
    fell = train.slope().t < -_SURE and train.end < 0.7 * train.start
    gained = held_out.slope().t < -2 or held_out.best < 0.9 * held_out.values[0]
    if fell and not gained and held_out.end > train.end + 3 * (train.noise + held_out.noise):
        yield Verdict(
            "inconsistent data",
            f"The training {history.noun} falls from {train.start:.4g} to {train.end:.4g}, the validation"
            f" {history.noun} never leaves {held_out.values[0]:.4g}.",
            0.75,
            {"slope of validation in standard errors": held_out.slope().t, "gap": held_out.end - train.end},
            (
                "other preprocessing or another distribution in validation, labels that do not go with"
                " inputs,"
                " or too few data: the loss of the training set in evaluation mode tells the first apart",
            ),
            ("inconsistent-preprocessing", "overfitting", "bad-labels", "misaligned-inputs-and-labels"),
        )


def _easier(history: History) -> Iterator[Verdict]:
    easier = shapes.easier(history.train, history.held_out)
    if easier is None:
        return
    if easier.lagging:
        tell = (
            "the training figure is a mean over the epoch, taken while the weights still improved: moved"
            " by half an"
            " epoch the curves agree",
        )
        confidence, causes = 0.5, _NONE
    else:
        tell = (
            "dropout or augmentation in training, an easier split, or training samples within validation:"
            " the loss"
            " of the training set in evaluation mode tells the first from the others",
        )
        confidence, causes = 0.8, ("train-test-leakage", "dropout-too-strong")
    yield Verdict(
        "validation easier",
        f"The validation {history.noun} lies below the training {history.noun} in {easier.below} of"
        f" {easier.pairs}"
        f" epochs, by {easier.size:.3g} in the median.",
        confidence,
        easier.evidence,
        tell,
        causes,
    )


def _ideal(history: History) -> Iterator[Verdict]:
    train, held_out = history.train, history.held_out
    if len(held_out) < _POINTS or len(train) < _POINTS:
        return
    fell = train.slope().t < -2 and held_out.slope().t < -2 and train.end < 0.5 * train.start
    gap = shapes.gap(train, held_out)
    close = gap is not None and (abs(gap.size) < 0.1 * train.end or abs(gap.t) < 2)
    calm = train.noise < 0.1 * (train.start - train.end)
    if fell and close and calm and gap is not None:
        yield Verdict(
            "ideal",
            f"Both curves fall together to {train.end:.4g} and {held_out.end:.4g}.",
            0.8,
            gap.evidence,
        )


JUDGES = (
    _overfitting,
    _never_follows,
    _easier,
    _ideal,
)
