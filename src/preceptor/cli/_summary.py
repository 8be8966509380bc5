"""``preceptor summary``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli import _findings as findings
from preceptor.cli._say import echo

__all__ = ["summary"]


def summary(
    model: Annotated[
        str, typer.Argument(help="A name from the catalogue, your own file.py:Name, or a run folder.")
    ],
    shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="C,H,W",
            help="The shape of one example; default: as published, or the run's.",
        ),
    ] = None,
    outputs: Annotated[
        int | None, typer.Option(help="Outputs of a network by name; default: as published, else 10.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Of the training whose memory is estimated; default: 32, or the run's.")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="Of the same training; default: adam, or the run's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="An option of the model, such as growth_rate=12; repeatable."
        ),
    ] = None,
    level: Annotated[
        int | None, typer.Option(help="Add up what lies deeper in the model than this many names.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it here, as JSON; -: print it alone.")
    ] = None,
) -> None:
    """Show a network's layers before training: shapes, parameters, memory, operations, receptive fields."""
    place = None if json == Path("-") else findings.place(json, "--json")

    from json import dumps

    from preceptor.files import write_json
    from preceptor.run import summary as summarize
    from preceptor.training.experiment import parse_assignments

    options = {key.removeprefix("model."): value for key, value in parse_assignments(settings or []).items()}
    found = summarize(
        model, _shape(shape), outputs=outputs, batch_size=batch_size, optimizer=optimizer, options=options
    )
    if level is not None:
        found = found.folded(level)
    echo(dumps(found.to_plain(), indent=1) if json == Path("-") else str(found))
    if place is not None:
        write_json(place, found.to_plain())
        echo(f"{'json':<12}{place}")


def _shape(given: str | None) -> tuple[int, ...] | None:
    from preceptor.errors import ConfigError

    if given is None:
        return None
    parts = given.replace("×", ",").replace("x", ",").split(",")
    if all(part.strip().isdigit() and int(part) for part in parts):
        return tuple(int(part) for part in parts)
    raise ConfigError(
        "--input is not usable", expected="sizes such as 3,224,224 or 784", received=repr(given)
    )
