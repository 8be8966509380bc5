"""``preceptor diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli import _findings as findings
from preceptor.cli._say import echo

__all__ = ["diagnose"]


def diagnose(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder of run --record, a run folder, a CSV file with learning curves, "
            "or a folder of TensorBoard, Lightning or Ultralytics."
        ),
    ],
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings here, as JSON.")
    ] = None,
    sarif: findings.Sarif = None,
    fail_on: findings.FailOn = None,
    ignore: findings.Ignore = None,
    baseline: findings.Baseline = None,
    write_baseline: findings.NewBaseline = None,
    github: findings.Github = False,
) -> None:
    """Say what went wrong in a training that is over, from what was kept of it."""
    wishes = findings.Wishes.of(sarif, fail_on, ignore, baseline, write_baseline, github=github).checked()
    place = findings.place(json, "--json")

    from preceptor.diagnosis.show import counts
    from preceptor.files import write_json
    from preceptor.run import diagnose as judge

    notes: list[str] = []
    found = judge(source, ignore=wishes.ignore, note=notes.append)
    echo(f"{'verdict':<9}{counts(found)}")
    for note in notes:
        echo(f"{'note':<9}{note}")
    for block in wishes.said(found):
        echo(f"\n{block}")
    for annotation in wishes.annotated(found):
        echo(annotation)
    if place is not None:
        write_json(place, {"findings": wishes.plain(found)})
        echo(f"{'json':<9}{place}")
    for label, path, write in wishes.writes(found):
        if path is not None:
            write(path)
            echo(f"{label:<9}{path}")
    if wishes.fails(found):
        raise typer.Exit(findings.FAILED)
