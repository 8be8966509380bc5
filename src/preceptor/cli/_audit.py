"""``preceptor audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli import _findings as findings
from preceptor.cli._say import echo

__all__ = ["audit"]


def audit(
    data: Annotated[str, typer.Argument(help="A built-in set such as digits, a file, or a folder.")],
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    task: Annotated[
        str | None, typer.Option(help="As a training would be told; default: by the targets.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the data, such as data.val=0.2; repeatable."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what every training looks at: no neighbours, no classifier.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it here, as JSON; -: print it alone.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(metavar="LEVEL", help="Exit with 3 where there is a warning: warning, or never.")
    ] = "never",
) -> None:
    """Look data over before training: gaps, copies, rare and doubtful labels, leaks, shift between parts."""
    place = None if json == Path("-") else findings.place(json, "--json")

    from json import dumps

    from preceptor.errors import ConfigError
    from preceptor.files import write_json
    from preceptor.run import audit as look_over
    from preceptor.training.experiment import parse_assignments

    if fail_on not in ("warning", "never"):
        raise ConfigError("--fail-on is not usable", expected="warning or never", received=repr(fail_on))
    chosen = parse_assignments(settings or [])
    found = look_over(data, target=target, task=task, settings=chosen, quick=quick)
    echo(dumps(found.to_plain(), indent=1) if json == Path("-") else str(found))
    if place is not None:
        write_json(place, found.to_plain())
        echo(f"{'json':<12}{place}")
    if fail_on == "warning" and not found.clean:
        raise typer.Exit(findings.FAILED)
