"""What was seen while a network trained, as parts of a page: by parameter, by layer, as graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from preceptor.report import _watch_curves, _watch_strips
from preceptor.report._format import clean, count, evenly

if TYPE_CHECKING:
    from preceptor.observation.graph import Graph
    from preceptor.observation.record import Record
    from preceptor.report._canvas import Drawing
    from preceptor.report._watch_strips import Strips

__all__ = ["ROOMS", "Picture", "Room", "Seen", "pictures", "seen"]

NODES_DRAWN = 150
_NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'  # not needed within HTML


@dataclass(frozen=True)
class Room:
    """How much a page may show: graphs, lines of one that is too large to be drawn, rows of strips."""

    graphs: int
    lines: int
    rows: int


ROOMS = (Room(3, 1500, 120), Room(1, 600, 60), Room(1, 100, 24))
"""From generous to narrow: a page that becomes too large is made anew with the next one."""


@dataclass(frozen=True)
class Picture:
    """One graph: drawn, or as text where it has too many operators to be read as a drawing."""

    title: str
    svg: Markup | None
    text: str
    note: str


@dataclass(frozen=True)
class Seen:
    """The parts: strips by parameter and by layer, the gradient's curves, graphs of some steps."""

    parameters: Strips | None
    layers: Strips | None
    curves: list[Drawing]
    pictures: list[Picture]


def seen(record: Record, graphs: Mapping[int, Graph], room: Room = ROOMS[0]) -> Seen:
    """Return what a record and some graphs have to show; parts that were not measured are empty."""
    return Seen(
        _watch_strips.parameter_strips(record, room.rows),
        _watch_strips.layer_strips(record, room.rows),
        _watch_curves.gradient_curves(record),
        pictures(graphs, room),
    )


def pictures(graphs: Mapping[int, Graph], room: Room = ROOMS[0]) -> list[Picture]:
    """Return some graphs, evenly spaced over the steps."""
    steps = sorted(graphs)
    return [_picture(steps[i], graphs[steps[i]], room.lines) for i in evenly(len(steps), room.graphs)]


def _picture(step: int, graph: Graph, most: int) -> Picture:
    title = f"Step {count(step)}: {count(len(graph))} operators, {count(len(graph.parameters))} parameters"
    if len(graph) <= NODES_DRAWN:
        return Picture(title, _inline(graph.to_svg(), f"graph-{step}", title), "", "")
    lines = graph.to_text().splitlines()
    more = f"{count(most)} of {count(len(lines))} lines." if len(lines) > most else ""
    return Picture(title, None, "\n".join(clean(line, 220) for line in lines[:most]), more)


def _inline(svg: str, key: str, title: str) -> Markup:
    """Return a graph's drawing, which has escaped its texts, with ids of its own and a text alternative."""
    svg = clean(svg).replace(_NAMESPACE, "", 1).replace('id="tip"', f'id="{key}-tip"')
    named = f'<svg role="img" aria-label="Computational graph. {title}."'
    return Markup(svg.replace("url(#tip)", f"url(#{key}-tip)").replace("<svg", named, 1))  # noqa: S704 - drawn here, of escaped text
