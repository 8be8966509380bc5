"""What a watch has seen of a training, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from preceptor.diagnosis import show
from preceptor.report import _view, _watch_curves, _watch_strips
from preceptor.report import _watch_view as view
from preceptor.report._format import clean, count, evenly, label
from preceptor.report._page import template
from preceptor.report._watch_tables import rows_of

if TYPE_CHECKING:
    from preceptor.diagnosis.finding import Finding
    from preceptor.observation.graph import Graph
    from preceptor.observation.record import Record

__all__ = ["watch_html"]

NODES_DRAWN = 150
_GRAPHS_SHOWN = 3
_LINES_SHOWN = 1500
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'  # not needed within HTML


@dataclass(frozen=True)
class _Picture:
    """One graph: drawn, or as text where it has too many operators to be read as a drawing."""

    title: str
    svg: Markup | None
    text: str
    note: str


@dataclass(frozen=True)
class _Shown:
    """One finding, as finished texts."""

    cause: str
    severity: str
    where: str
    title: str
    details: list[tuple[str, str]]


def watch_html(
    watch_summary: Mapping[str, Any],
    record: Record,
    graphs: Mapping[int, Graph],
    *,
    title: str,
    findings: Sequence[Finding] | None = None,
) -> str:
    """Return the page of a watch; all names in it are escaped, nothing is loaded from anywhere.

    Arguments:
        watch_summary: what ``Watch.summary()`` gives; what is missing is left out.
        record: the signals.
        graphs: the graphs of some steps, by step; at most three are shown.
        title: the heading, such as the script's name.
        findings: what a diagnosis said, best guess first; None where there was none.

    Example:
        >>> from preceptor.observation.record import Record
        >>> page = watch_html({"steps": {"train": 3}}, Record(), {}, title="train.py")
        >>> page[:15], "<h1>train.py</h1>" in page
        ('<!doctype html>', True)
    """
    steps = view.steps(watch_summary, "train")
    loss = _watch_curves.loss_curve(record)
    parameters = _watch_strips.parameter_strips(record)
    tables, pairs = view.facts(watch_summary, record)
    phases = view.phases(record)
    data = [
        view.values(record),
        *view.batches(record),
        *view.classes(watch_summary, record),
        view.shared(record),
    ]
    return template("watch.html.j2").render(
        name=label(title, 120) or "watch",
        verdict=view.verdict(watch_summary, record),
        judged=None if findings is None else show.counts(findings),
        findings=[_shown(finding) for finding in findings or ()],
        tiles=view.tiles(watch_summary, record),
        notices=[*view.offences(record), *(parameters.notices if parameters else ())],
        curves=[drawing for drawing in (loss, *_watch_curves.gradient_curves(record)) if drawing],
        parameters=parameters,
        layers=_watch_strips.layer_strips(record),
        seen=[table for table in (phases, *tables) if table],
        pairs=pairs,
        data=[table for table in data if table],
        losses=rows_of("Loss calls", record.tables.get("losses", [])),
        time=_watch_curves.time_split(record, steps),
        pictures=[_picture(step, graphs[step]) for step in _some(graphs)],
        typical=view.typical(watch_summary),
        notes=_view.cut(tuple(map(str, watch_summary.get("notes") or ())), limit=60),
        remarks=rows_of("Remarks", record.tables.get("notes", [])),
        cost=view.cost(watch_summary, record),
    )


def _shown(finding: Finding) -> _Shown:
    return _Shown(
        finding.cause,
        finding.severity,
        label(finding.where, 120),
        clean(finding.title, 600),
        [(name, clean(text, 1000)) for name, text in show.details(finding)],
    )


def _some(graphs: Mapping[int, Graph]) -> list[int]:
    found = sorted(graphs)
    return [found[i] for i in evenly(len(found), _GRAPHS_SHOWN)]


def _picture(step: int, graph: Graph) -> _Picture:
    title = f"Step {count(step)}: {count(len(graph))} operators, {count(len(graph.parameters))} parameters"
    if len(graph) <= NODES_DRAWN:
        return _Picture(title, _inline(graph.to_svg(), f"graph-{step}", title), "", "")
    lines = graph.to_text().splitlines()
    more = f"{count(_LINES_SHOWN)} of {count(len(lines))} lines." if len(lines) > _LINES_SHOWN else ""
    return _Picture(title, None, "\n".join(clean(line, 220) for line in lines[:_LINES_SHOWN]), more)


def _inline(svg: str, key: str, title: str) -> Markup:
    """Return a graph's drawing, which has escaped its texts, with ids of its own and a text alternative."""
    svg = clean(svg).replace(_NAMESPACE, "", 1).replace('id="tip"', f'id="{key}-tip"')
    named = f'<svg role="img" aria-label="Computational graph. {title}."'
    return Markup(svg.replace("url(#tip)", f"url(#{key}-tip)").replace("<svg", named, 1))  # noqa: S704
