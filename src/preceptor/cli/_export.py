"""``preceptor export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli import _findings as findings
from preceptor.cli._say import echo

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    to: Annotated[str, typer.Option(help="safetensors, torch-export or onnx.")] = "safetensors",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here; default: model.* in the run's folder.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Write a run's network for other programs, and check that it computes the same."""
    place = findings.place(out, "--out")

    from preceptor.errors import ConfigError, UnknownName
    from preceptor.report.terminal import line
    from preceptor.run import Run, load
    from preceptor.run._export import FORMATS
    from preceptor.training.own_code import import_model

    if to not in FORMATS:
        raise UnknownName("form of export", to, FORMATS)
    loaded = load(run, model=import_model(model) if model else None)
    if not isinstance(loaded, Run):
        raise ConfigError("no network to export", expected="a run that trained one", received=str(run))
    made = loaded.export(out if out is not None else place, to=to)
    echo(line("export", str(made.path)))
    echo(line("equal", str(made)))
