"""What a watch has seen of a training, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.report import _view, _watch_curves
from preceptor.report import _watch_view as view
from preceptor.report._findings import judgement
from preceptor.report._format import label
from preceptor.report._page import SIZE_LIMIT, template
from preceptor.report._seen import ROOMS, Room, seen
from preceptor.report._watch_tables import rows_of
from preceptor.report._words import Words

if TYPE_CHECKING:
    from preceptor.diagnosis.finding import Finding
    from preceptor.observation.graph import Graph
    from preceptor.observation.record import Record

__all__ = ["watch_html"]


def watch_html(
    watch_summary: Mapping[str, Any],
    record: Record,
    graphs: Mapping[int, Graph],
    *,
    title: str,
    findings: Sequence[Finding] | None = None,
    find: Callable[[str], Path | None] | None = None,
) -> str:
    """Return the page of a watch, of less than 1 MB; all names in it are escaped, nothing is loaded.

    Arguments:
        watch_summary: what ``Watch.summary()`` gives; what is missing is left out.
        record: the signals.
        graphs: the graphs of some steps, by step; at most three are shown.
        title: the heading, such as the script's name.
        findings: what a diagnosis said, best guess first; None where there was none.
        find: gives the path of a file of the user's by its name: its lines are shown beside findings.

    Example:
        >>> from preceptor.observation.record import Record
        >>> page = watch_html({"steps": {"train": 3}}, Record(), {}, title="train.py")
        >>> page[:15], "<h1>train.py</h1>" in page
        ('<!doctype html>', True)
    """
    page = ""
    for room in ROOMS:
        page = _page(watch_summary, record, graphs, title, findings, find, room)
        if len(page.encode()) < SIZE_LIMIT:
            break
    return page


def _page(
    watch_summary: Mapping[str, Any],
    record: Record,
    graphs: Mapping[int, Graph],
    title: str,
    findings: Sequence[Finding] | None,
    find: Callable[[str], Path | None] | None,
    room: Room,
) -> str:
    steps, words = view.steps(watch_summary, "train"), Words()
    loss = _watch_curves.loss_curve(record)
    shown = seen(record, graphs, room)
    tables, pairs = view.facts(watch_summary, record)
    phases = view.phases(record)
    data = [
        view.values(record),
        *view.batches(record),
        *view.classes(watch_summary, record),
        view.shared(record),
    ]
    return template("watch.html.j2").render(
        words=words,
        name=label(title, 120) or "watch",
        verdict=view.verdict(watch_summary, record),
        judged=judgement(findings, words, find),
        tiles=view.tiles(watch_summary, record),
        notices=[*view.offences(record), *(shown.parameters.notices if shown.parameters else ())],
        curves=[drawing for drawing in (loss, *shown.curves) if drawing],
        shown=shown,
        seen=[table for table in (phases, *tables) if table],
        pairs=pairs,
        data=[table for table in data if table],
        losses=rows_of("Loss calls", record.tables.get("losses", [])),
        time=_watch_curves.time_split(record, steps),
        typical=view.typical(watch_summary),
        notes=_view.cut(tuple(map(str, watch_summary.get("notes") or ())), limit=60),
        remarks=rows_of("Remarks", record.tables.get("notes", [])),
        cost=view.cost(watch_summary, record),
    )
