"""``preceptor generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["generate"]


def generate(
    run: Annotated[Path, typer.Argument(help="The folder of a run on a text.")],
    prompt: Annotated[str, typer.Option(help="What stands before; \\n is the end of a line.")] = "",
    length: Annotated[
        int, typer.Option(min=0, help="Symbols that are written: characters, words or pieces.")
    ] = 300,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Below 1 safer, above 1 more surprising, 0 the most probable.")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Choose among the so many most probable symbols only.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Choose among the symbols that hold this share only."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws; default: others each time.")] = None,
    stop: Annotated[str | None, typer.Option(help="End when this has been written.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Let a network that was trained on a text write one, symbol by symbol, behind a prompt."""
    import warnings

    from preceptor.run import load
    from preceptor.training.own_code import import_model

    loaded = load(run, model=import_model(model) if model else None)
    plain, until = (_lines(text) for text in (prompt, stop or ""))
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        pieces = loaded.stream(
            plain, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, stop=until or None
        )
        first = next(pieces, "")
    for note in notes:
        echo(f"note: {note.message}", err=True)
    echo(plain + first, nl=False)
    for piece in pieces:
        echo(piece, nl=False)
    echo()


def _lines(text: str) -> str:
    return text.replace("\\n", "\n")
