"""Verdicts on learning curves alone: what their shape says, how surely, and what it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping

from preceptor.diagnosis import _judges_alone, _judges_beside
from preceptor.diagnosis import _shapes as shapes
from preceptor.diagnosis._verdicts import VERDICTS, History, Verdict
from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.history import gathered, read_curves

__all__ = ["VERDICTS", "Verdict", "read_curves", "verdicts"]

_POINTS = 5


def verdicts(curves: Mapping[str, Curve]) -> list[Verdict]:
    """Judge learning curves by their shape, surest statement first; never empty.

    Every statement rests on a test that knows the curve's noise: slopes of block means against their standard
    error, the trend test of Mann and Kendall, sign and turning-point tests. What shapes alone cannot tell
    apart is said with each.

    Arguments:
        curves: by name: train_loss, val_loss, train_accuracy, val_accuracy, lr, or other people's names for
            them; any may be missing.

    Example:
        >>> epochs = range(40)
        >>> train = Curve(epochs, [2 * 0.8**e + 0.1 for e in epochs])
        >>> val = Curve(epochs, [2 * 0.8**e + 0.2 + 0.01 * max(0, e - 12) for e in epochs])
        >>> first = verdicts({"loss": train, "val_loss": val})[0]
        >>> first.name, first.since
        ('overfitting', 17)

    Source: Prechelt, Early Stopping — But When? (1998); Goodfellow, Bengio & Courville, Deep Learning,
    chapter 11 (2016).
    """
    history = _history(gathered(curves))
    main = history.train if len(history.train.all_values) else history.held_out
    if len(main.all_values) < _POINTS and main.first_not_finite is None:
        what = f"{len(main.all_values)} points are too few to tell a trend from noise"
        return [Verdict("unclear", what, 1.0, {"points": len(main.all_values)})]
    found = [
        verdict for judge in (*_judges_alone.JUDGES, *_judges_beside.JUDGES) for verdict in judge(history)
    ]
    found = _without_contradictions(found)
    found.sort(key=lambda verdict: -verdict.confidence)
    return found or [Verdict("unclear", "nothing stands out from the noise", 0.5, shapes.summary(main))]


def _history(curves: Mapping[str, Curve]) -> History:
    def lower(part: str) -> Curve:
        if f"{part}_loss" in curves:
            return curves[f"{part}_loss"]
        accuracy = curves.get(f"{part}_accuracy", Curve())
        return Curve(accuracy.all_steps, 1 - accuracy.all_values)

    has_loss = "train_loss" in curves or "val_loss" in curves
    none = Curve()
    return History(
        lower("train") if not has_loss or "train_loss" in curves else none,
        lower("val") if not has_loss or "val_loss" in curves else none,
        curves.get("lr", none),
        curves.get("train_accuracy", none),
        curves.get("val_accuracy", none),
        "loss" if has_loss else "error",
    )


_EXCLUDES = {
    "diverged": (
        "still learning",
        "rate too low",
        "no progress",
        "ideal",
        "too little capacity",
        "overfitting",
        "settled",
    ),
    "no progress": ("too little capacity", "rate too low", "still learning", "rate too high", "late start"),
    "overfitting": ("ideal", "inconsistent data", "validation easier", "still learning"),
    "inconsistent data": ("ideal",),
    "oscillating": ("ideal", "rate too low"),
    "still learning": ("too little capacity", "rate too high", "ideal"),
    "rate too low": ("too little capacity", "rate too high"),
    "late start": ("rate too low",),
    "ideal": ("settled",),
}


def _without_contradictions(found: list[Verdict]) -> list[Verdict]:
    names = {verdict.name for verdict in found}
    barred = {other for name in names for other in _EXCLUDES.get(name, ())}
    return [verdict for verdict in found if verdict.name not in barred]
