"""``preceptor run``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli import _findings as findings

__all__ = ["HOOK", "SETTINGS", "Handover", "run"]

# All that follows the program's name is the program's own, options included.
SETTINGS = {"allow_interspersed_args": False}
HOOK = sys.excepthook  # typer puts one of its own in its place


class Level(str, Enum):
    """How closely to look."""

    economy = "economy"
    standard = "standard"
    full = "full"


class Handover(BaseException):
    """What is to be done once typer's own frames, context and treatment of Ctrl-C are out of the way."""

    def __init__(self, perform: Callable[[], object]) -> None:
        super().__init__()
        self.perform = perform


def run(
    program: Annotated[
        list[str],
        typer.Argument(metavar="SCRIPT", help="A PyTorch program, and the arguments that are its own."),
    ],
    module: Annotated[
        bool, typer.Option("-m", help="SCRIPT is the name of a module, as after python -m.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write findings and a summary here, as JSON.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report here, as one HTML file.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep all that was measured in this folder.")
    ] = None,
    level: Annotated[
        Level, typer.Option(help="How closely to look; the closer, the more time it takes.")
    ] = Level.standard,
    trials: Annotated[
        bool, typer.Option("--try", help="Try remedies on copies of recorded steps, and say which helped.")
    ] = False,
    sarif: findings.Sarif = None,
    fail_on: findings.FailOn = None,
    ignore: findings.Ignore = None,
    baseline: findings.Baseline = None,
    write_baseline: findings.NewBaseline = None,
    github: findings.Github = False,
    write: Annotated[
        bool, typer.Option("--write", help="Apply the suggested patches to the program's files at its end.")
    ] = False,
) -> None:
    """Run a PyTorch program as python would, watch it train, and say what went wrong.

    Its output and exit code stay its own.
    """
    wishes = findings.Wishes.of(sarif, fail_on, ignore, baseline, write_baseline, github=github)

    def perform() -> None:
        from preceptor.cli._running import Request, perform

        paths = (json, report, record)
        perform(Request(program[0], program[1:], module, level.value, *paths, wishes, trials, write), HOOK)

    raise Handover(perform)
