"""One training run as one HTML file that needs nothing else: no font, no network."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from preceptor.report import _examples, _view
from preceptor.report import ensemble as members
from preceptor.report._findings import judgement
from preceptor.report._format import clean, count, label, part_name
from preceptor.report._page import SIZE_LIMIT, save, template
from preceptor.report._seen import ROOMS, Room, seen
from preceptor.report._words import Words
from preceptor.report.ensemble import EnsembleSummary
from preceptor.report.figures import draw
from preceptor.report.looks import Look, Row, Shown, uri
from preceptor.report.recipe import view as recipe_view
from preceptor.report.summary import Predictions, Summary, worst
from preceptor.report.text import view as text_view

__all__ = ["render", "write"]

LOOKS_LIMIT = 220_000


def render(summary: Summary) -> str:
    """Return the report as an HTML document of less than 1 MB; the same summary gives the same text.

    Example:
        >>> run = Summary("digits", None, "ten classes", "accuracy", "a CSV file", "failed", [], None, "lr")
        >>> render(run)[:15], "<h1>digits</h1>" in render(run)
        ('<!doctype html>', True)
    """
    note = ("Pictures of what the network sees were left out, to keep this file under 1 MB.",)
    without = replace(summary, looks=(), notes=(*(note if summary.looks else ()), *summary.notes))
    page = ""
    for shown, room in ((summary, ROOMS[0]), (without, ROOMS[1]), (_shortened(summary), ROOMS[2])):
        page = _page(shown, room)
        if len(page.encode()) < SIZE_LIMIT:
            break
    return page


def _shortened(summary: Summary) -> Summary:
    """Drop what takes the most room: pictures, and all but the first of whatever comes in long lists."""
    data, model, predictions = summary.data, summary.model, summary.predictions
    note = "Pictures and the ends of long lists were left out, to keep this file under 1 MB."
    return replace(
        summary,
        settings=tuple(sorted(summary.settings, key=lambda setting: not setting.chosen))[:25],
        data=replace(data, rows=data.rows[:12], notes=data.notes[:5], features=data.features[:15]),
        model=replace(model, text=model.text[:500], layers=model.layers[:30]),
        predictions=predictions and replace(predictions, images=None),
        looks=(),
        versions=dict(list(summary.versions.items())[:12]),
        notes=(note, *summary.notes[:5]),
    )


def _page(summary: Summary, room: Room) -> str:
    words, watched = Words(), summary.watched
    facts, data_tables, data_notes = _view.data(summary.data)
    chosen, defaults, settings_note = _view.settings(summary.settings, words)
    reuse_lines, reuse_table = _view.reuse(summary.reuse)
    audit_table, audit_note = _view.audit(summary.audit)
    return template("report.html.j2").render(
        words=words,
        judged=judgement(watched.findings, words, watched.find) if watched else None,
        shown=seen(watched.record, watched.graphs, room) if watched else None,
        parent=_view.parent(summary.parent),
        name=label(summary.name, 120) or "run",
        folder=label(summary.folder, 300) if summary.folder else "",
        verdict=_view.verdict(summary),
        tiles=_view.tiles(summary),
        notes=_view.cut(summary.notes),
        asked=[
            ("T", "Task", clean(summary.task, 1200)),
            ("P", "Performance measure", clean(summary.measure, 1200)),
            ("E", "Experience", clean(summary.experience, 1200)),
        ],
        figures=draw(summary),
        undrawn=_view.undrawn(summary),
        predictions=_predictions(summary.predictions) if summary.predictions else None,
        prediction_tables=_view.prediction_tables(summary),
        class_scores=_view.by_class(summary),
        task_tables=summary.tables,
        task_drawings=summary.drawings,
        text=text_view(summary.text),
        together=_together(summary.ensemble) if summary.ensemble else None,
        looks=_looks(summary.looks),
        facts=facts,
        data_tables=data_tables,
        data_notes=data_notes,
        audit_table=audit_table,
        audit_note=audit_note,
        recipe=recipe_view(summary.recipe),
        chosen=chosen,
        defaults=defaults,
        settings_note=settings_note,
        timing=_view.timing(summary),
        reuse_lines=reuse_lines,
        reuse_table=reuse_table,
        model=summary.model,
        model_text=clean(summary.model.text, 4000),
        layers=_view.model(summary.model),
        versions=[(label(k, 60), label(v, 120)) for k, v in list(summary.versions.items())[:60]],
    )


def _together(summary: EnsembleSummary) -> dict[str, Any]:
    return {
        "lines": members.lines(summary),
        "members": members.members_table(summary),
        "correlation": members.correlation_table(summary),
    }


def _looks(looks: tuple[Look, ...]) -> list[dict[str, Any]]:
    """Return the pictures as addresses, of each look in turn a row, as long as there is room."""
    encoded = [[_row(row) for row in look.rows] for look in looks]
    room, kept = LOOKS_LIMIT, [0] * len(looks)
    for i in range(max(map(len, encoded), default=0)):
        for k, rows in enumerate(encoded):
            size = sum(len(address) for address, *_ in rows[i][1]) if i < len(rows) else room + 1
            if kept[k] == i and size <= room:
                kept[k], room = i + 1, room - size
    return [
        {
            "key": look.key,
            "title": label(look.title, 80),
            "lead": clean(look.lead, 600),
            "rows": rows[:n],
            "rest": f"To keep this file small {count(n)} of {count(len(rows))} rows are shown."
            if n < len(rows)
            else "",
        }
        for look, rows, n in zip(looks, encoded, kept, strict=True)
    ]


def _row(row: Row) -> tuple[str, list[tuple[str, str, str]]]:
    pictures = [(uri(shown), label(shown.caption, 60), _room_of(shown)) for shown in row.pictures]
    return label(row.label, 120), pictures


def _room_of(shown: Shown) -> str:
    """Return the class of style that gives a picture its room: a sheet of many images takes more."""
    height, width = shown.pixels.shape[:2]
    return "" if not shown.side else "wide" if width > 2 * height else "large"


def _predictions(predictions: Predictions) -> dict[str, Any]:
    shown, part = len(worst(predictions.losses)), part_name(predictions.part)
    return {
        "n": len(predictions),
        "part": part,
        "sorts": predictions.kind == "classification",
        "classes": len(predictions.classes),
        "cards": _examples.cards(predictions),
        "table": _examples.table(predictions),
        "lead": f"The {count(shown)} of {count(len(predictions))} {part} examples with the largest loss.",
    }


def write(summary: Summary, path: str | os.PathLike[str]) -> Path:
    """Write the report to ``path``, whole or not at all, and return where it is.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> run = Summary("digits", None, "ten classes", "accuracy", "a CSV file", "failed", [], None, "lr")
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write(run, Path(folder) / "report.html").name
        'report.html'
    """
    return save(render(summary), path)
