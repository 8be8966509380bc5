"""An ensemble on the page: its members side by side, their curves, and how alike their errors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preceptor.report._canvas import Drawing
from preceptor.report._format import as_float, clean, count, fixed, label, part_name, percent
from preceptor.report._lines import DRAWABLE, Line, draw_lines
from preceptor.report._table import Table

__all__ = ["EnsembleSummary", "MemberSummary", "correlation_table", "curves", "lines", "members_table"]

MEMBERS_SHOWN = 40
PAIRS_SHOWN = 16
CURVES_DRAWN = 12


@dataclass(frozen=True)
class MemberSummary:
    """One member of an ensemble.

    Attributes:
        name: of its folder.
        differs: the settings in which it differs from the others, in words.
        status: how it ended.
        best_epoch: whose weights it predicts with.
        share: its weight in the mean.
        scores: loss and measures by name, on the examples that all were measured on.
        curve: the monitored value by epoch.
    """

    name: str
    differs: str
    status: str
    best_epoch: int | None
    share: float
    scores: Mapping[str, float]
    curve: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True)
class EnsembleSummary:
    """What a report shows of an ensemble beside what it shows of any run.

    Attributes:
        combined: how the predictions are combined, in words.
        members: one record each.
        part: what they were measured on, such as ``"val"``.
        scores: the ensemble's loss and measures there, by name.
        said: sentences about the gain and the errors.
        correlation: of the members' errors, K × K; NaN where it is not defined.
        monitor: the history key of the curves.
    """

    combined: str
    members: tuple[MemberSummary, ...]
    part: str
    scores: Mapping[str, float]
    said: tuple[str, ...]
    correlation: Sequence[Sequence[float]]
    monitor: str = "val_loss"


def lines(summary: EnsembleSummary) -> list[str]:
    """Return what is said above the tables."""
    return [clean(text, 600) for text in (summary.combined, *summary.said)]


def members_table(summary: EnsembleSummary) -> Table:
    """Return the members, their mean and the ensemble, by loss and measures on the same examples."""
    names = list(summary.scores)
    rows = [
        (
            label(member.name, 30),
            label(member.differs, 80),
            label(member.status, 30),
            "–" if member.best_epoch is None else count(member.best_epoch),
            percent(member.share),
            *(fixed(member.scores.get(name)) for name in names),
        )
        for member in summary.members[:MEMBERS_SHOWN]
    ]
    means = [np.mean([as_float(member.scores.get(name)) for member in summary.members]) for name in names]
    rows.append(("mean of the members", "", "", "", "", *map(fixed, means)))
    rows.append(("ensemble", "", "", "", "", *(fixed(summary.scores[name]) for name in names)))
    more = len(summary.members) - MEMBERS_SHOWN
    note = f"The first {MEMBERS_SHOWN} of {count(len(summary.members))} members." if more > 0 else ""
    head = ("member", "differs in", "ended", "best epoch", "weight", *(label(name, 30) for name in names))
    caption = f"Members and ensemble, {part_name(summary.part)}"
    return Table(caption, head, tuple(rows), note, text=frozenset({0, 1, 2}))


def correlation_table(summary: EnsembleSummary) -> Table | None:
    """Return the correlation of the members' errors; None for a member alone."""
    k = min(len(summary.members), PAIRS_SHOWN)
    if k < 2:
        return None
    names = tuple(label(member.name, 30) for member in summary.members[:k])
    rows = tuple((names[i], *(fixed(summary.correlation[i][j], 2) for j in range(k))) for i in range(k))
    more = len(summary.members) > k
    note = f"The first {k} of {count(len(summary.members))} members." if more else ""
    return Table("Correlation of the members' errors", ("member", *names), rows, note)


def curves(summary: EnsembleSummary) -> Drawing | None:
    """Draw the monitored value of each member; None where none was measured."""
    found = []
    for member in summary.members[:CURVES_DRAWN]:
        epochs = np.array([epoch for epoch, _ in member.curve], dtype=np.float64)
        values = np.array([as_float(value) for _, value in member.curve], dtype=np.float64)
        values[np.abs(values) > DRAWABLE] = np.nan
        if len(values) and not np.isnan(values).all():
            name = member.name.rpartition("-")[2]
            found.append(Line(label(member.name, 30), label(name, 8), "train", 1.0, "-", epochs, values))
    if not found:
        return None
    caption = f"Each line is a member, {len(found)} of {count(len(summary.members))}."
    return draw_lines(
        "members", f"{label(summary.monitor, 40)} of the members", found, unit="epoch", caption=caption
    )
