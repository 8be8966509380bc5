"""What a watch measured at every step or look, as curves: losses, learning rates, gradient norms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from preceptor.report._canvas import Drawing
from preceptor.report._format import count, label, percent, short
from preceptor.report._lines import DRAWABLE, Line, draw_lines, is_wide
from preceptor.report._shares import time_shares
from preceptor.report.summary import Timing

if TYPE_CHECKING:
    from preceptor.observation.record import Record
    from preceptor.observation.series import Columns

__all__ = [
    "course",
    "evaluations",
    "first_bad",
    "gradient_curves",
    "loss_curve",
    "mean_of",
    "time_split",
    "trainings",
]

_BUCKETS = 140
_TRAIN_COLOURS = ("train", "rate", "mark", "muted", "ink", "train", "rate", "mark")
_EVALUATION_COLOURS = ("val", "mark", "muted", "rate")
_PARTS = {"data": "data_seconds", "forward": "forward_seconds", "backward": "backward_seconds",
          "step": "optimizer_seconds"}  # fmt: skip

Floats = NDArray[np.float64]


def trainings(record: Record) -> dict[str, Columns]:
    """Return the training losses by phase."""
    found = [phase for phase in record.subjects("loss") if not phase.startswith("evaluation")]
    return {phase: record.signal("loss", subject=phase).columns() for phase in found}


def evaluations(record: Record) -> dict[str, Columns]:
    """Return the evaluation losses by phase; by place, where there are many loaders at a place."""
    places: dict[str, list[str]] = {}
    phases = [phase for phase in record.subjects("loss") if phase.startswith("evaluation")]
    for phase in phases:
        place = phase if len(phases) <= len(_EVALUATION_COLOURS) else phase.partition(" loader ")[0]
        places.setdefault(place, []).append(phase)
    return {place: _joined(record, subjects) for place, subjects in places.items()}


def course(columns: Columns) -> tuple[float, float]:
    """Return the first and last finite loss: each the mean of a tenth of them, at most of 20."""
    values = columns[1][np.isfinite(columns[1])]
    if not len(values):
        return math.nan, math.nan
    n = min(20, max(1, len(values) // 10))
    return float(values[:n].mean()), float(values[-n:].mean())


def mean_of(record: Record, signal: str) -> float:
    """Return the mean of a signal of the run; NaN where it was not measured."""
    if record.subjects(signal) != [""]:
        return math.nan
    _, values, _, _, counts = record.signal(signal).finite.columns()
    return float(np.average(values, weights=counts)) if len(values) else math.nan


def first_bad(columns: Columns) -> tuple[int, str] | None:
    """Return the first step whose value is not finite, and what it is."""
    steps, values = columns[:2]
    bad = np.flatnonzero(~np.isfinite(values))
    if not len(bad):
        return None
    return int(steps[bad[0]]), "first NaN" if math.isnan(values[bad[0]]) else "first ∞"


def loss_curve(record: Record) -> Drawing | None:
    """Draw the loss of every phase: training as lines, each evaluation pass as a point."""
    told: list[str] = []
    training, evaluation = trainings(record), evaluations(record)
    lines = [
        *_phases(training, "train", _TRAIN_COLOURS, "-", told),
        *_phases(evaluation, "evaluation", _EVALUATION_COLOURS, "", told),
    ]
    found = [first_bad(columns) for columns in (*training.values(), *evaluation.values())]
    bad = min((one for one in found if one is not None), default=None)
    return _drawn("watch-loss", "Loss", lines, told, bad)


def gradient_curves(record: Record) -> list[Drawing]:
    """Draw learning rates, the norm of the whole gradient, and the scale of mixed precision."""
    told: list[str] = []
    norms = _lines(
        record,
        [("total_grad_norm", "at the step", "train", 1.6, "-"), ("clip_norm", "unclipped", "rate", 1.2, "-")],
    )
    if record.subjects("clipped"):
        told.append(f"Clipped at {percent(mean_of(record, 'clipped'))} of the steps.")
    scale = _lines(record, [("grad_scale", "scale", "train", 1.6, "-")])
    first = (
        first_bad(record.signal("total_grad_norm").columns()) if record.subjects("total_grad_norm") else None
    )
    found = [
        _drawn("watch-norm", "Norm of the whole gradient", norms, told, first),
        _drawn("watch-rate", "Learning rate", *_rates(record)),
        _drawn("watch-scale", "Gradient scale", scale, [], None),
    ]
    return [drawing for drawing in found if drawing]


def time_split(record: Record, steps: int) -> Drawing | None:
    """Draw where the time of a step goes; None where it was not measured."""
    step = mean_of(record, "step_seconds")
    parts = {name: mean_of(record, signal) for name, signal in _PARTS.items()}
    measured = {name: seconds for name, seconds in parts.items() if math.isfinite(seconds)}
    if not step > 0 or not measured:
        return None
    shares = {name: seconds / step for name, seconds in measured.items()}
    shares["other"] = max(0.0, 1.0 - sum(shares.values()))
    return time_shares(Timing(shares, 1e3 * step, None, None, step * max(1, steps), steps, None))


def _phases(
    losses: Mapping[str, Columns], word: str, colours: Sequence[str], dashes: str, told: list[str]
) -> Iterator[Line]:
    for i, ((phase, columns), colour) in enumerate(zip(losses.items(), colours, strict=False)):
        name = word if len(losses) == 1 else f"{word[:5]} {i}" if dashes else f"eval. {i}"
        where = phase.partition(":")[2]
        if where:
            told.append(f"{name[:1].upper()}{name[1:]}: {'optimizer ' if dashes else ''}{label(where, 60)}.")
        yield _line(columns, name, name, colour, 1.6, dashes)
    if len(losses) > len(colours):
        told.append(f"{count(len(colours))} of {count(len(losses))} {word} phases are drawn.")


def _joined(record: Record, phases: Sequence[str]) -> Columns:
    found = [record.signal("loss", subject=phase).columns() for phase in phases]
    order = np.argsort(np.concatenate([columns[0] for columns in found]), kind="stable")
    steps, values, low, high, counts = (np.concatenate(parts)[order] for parts in zip(*found, strict=True))
    return steps, values, low, high, counts


def _rates(record: Record) -> tuple[list[Line], list[str], None]:
    """One line for all groups that have the same rate at all times."""
    alike: dict[bytes, list[str]] = {}
    for subject in record.subjects("lr"):
        series = record.signal("lr", subject=subject)
        alike.setdefault(series.steps.tobytes() + series.values.tobytes(), []).append(subject)
    lines, told = [], []
    last = max((int(columns[0][-1]) for columns in trainings(record).values() if len(columns[0])), default=0)
    for subjects, colour in zip(alike.values(), _TRAIN_COLOURS, strict=False):
        more = f" +{len(subjects) - 1}" if len(subjects) > 1 else ""
        name = "learning rate" if len(alike) == 1 else f"{short(subjects[0], 10)}{more}"
        columns = _held(record.signal("lr", subject=subjects[0]).columns(), last)
        lines.append(_line(columns, name, name, colour, 1.6, "-"))
    if len(alike) > 1:
        told.append("Named by optimizer and parameter group.")
    if len(alike) > len(lines):
        told.append(f"{count(len(lines))} of {count(len(alike))} different rates are drawn.")
    return lines, told, None


def _held(columns: Columns, last: int) -> Columns:
    """Return a signal that is noted where it changes with its value at the last step, too."""
    if not len(columns[0]) or columns[0][-1] >= last:
        return columns
    steps, values, low, high, counts = columns
    held = (np.append(column, column[-1]) for column in (values, low, high))
    return np.append(steps, last), *held, np.append(counts, 1)  # type: ignore[return-value]  # as many arrays as are declared


def _lines(record: Record, wanted: Sequence[tuple[str, str, str, float, str]]) -> list[Line]:
    return [
        _line(record.signal(signal).columns(), signal, *rest)
        for signal, *rest in wanted
        if record.subjects(signal) == [""]
    ]


def _line(columns: Columns, key: str, *look: Any) -> Line:
    name, colour, width, dashes = look
    x, values, low, high = _points(columns, passes=not dashes)
    spread = dashes and bool((low < high).any())
    return Line(key, name, colour, width, dashes, x, values, *((low, high) if spread else ()))


def _points(columns: Columns, *, passes: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, mean, lowest and highest of at most 280 points; NaN where no value can be drawn."""
    steps, values, low, high, counts = columns
    drawable = np.isfinite(values) & (np.abs(values) <= DRAWABLE)
    shown = np.where(drawable, values, np.nan), _kept(low), _kept(high)
    starts = np.unique(steps, return_index=True)[1] if passes else np.arange(len(steps))
    if len(starts) > 2 * _BUCKETS:
        edges = np.linspace(steps[0], steps[-1] + 1, _BUCKETS + 1)
        starts = np.unique(np.searchsorted(steps, edges[:-1]))
    if len(starts) == len(steps):
        return steps.astype(np.float64), *shown
    weights = np.where(drawable, counts, 0).astype(np.float64)
    total = np.add.reduceat(weights, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(drawable, values, 0.0) * weights, starts) / total
    lowest, highest = np.fmin.reduceat(shown[1], starts), np.fmax.reduceat(shown[2], starts)
    return steps[starts].astype(np.float64), mean, lowest, highest


def _kept(values: Floats) -> Floats:
    return np.where(np.isfinite(values) & (np.abs(values) <= DRAWABLE), values, np.nan)


def _drawn(
    key: str, heading: str, lines: Sequence[Line], told: list[str], bad: tuple[int, str] | None
) -> Drawing | None:
    lines = [line for line in lines if not np.isnan(line.values).all()]
    if not lines:
        return None
    parts = ["Logarithmic scale."] if is_wide(lines) else []
    if any(line.low is not None for line in lines):
        parts.append("Band: lowest to highest of the steps that a point stands for.")
    if bad is not None:
        parts.append("A gap marks values that are not finite.")
    caption = " ".join([*parts, *told])
    return draw_lines(key, heading, lines, unit="step", caption=caption, mark=bad)
