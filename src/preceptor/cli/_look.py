"""``preceptor look``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["look"]


def look(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    what: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOOK",
            help="filters, maps, saliency, occlusion, augmentation, examples, classes or confusions; "
            "may be repeated; default: all.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The pictures' folder; default: RUN/look.")] = None,
    examples: Annotated[int, typer.Option(min=1, help="How many images are explained.")] = 6,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Draw what a network that takes images sees: its filters, its maps, what its predictions rest on."""
    from preceptor.run import load
    from preceptor.training.own_code import import_model

    folder = out or run / "look"
    loaded = load(run, model=import_model(model) if model else None)
    for found in loaded.look(*(what or ()), out=folder, examples=examples):
        echo(f"{found.key:<14}{folder / f'{found.key}.png' if found.rows else found.lead}")
