"""What a command prints: names in data and settings of others are text, never orders to the terminal."""

from __future__ import annotations

import sys

import typer

from preceptor.errors import printable

__all__ = ["echo"]


def echo(text: object = "", *, nl: bool = True, err: bool = False) -> None:
    """Print a text; on a terminal without control characters, in a pipe as it is."""
    stream = sys.stderr if err else sys.stdout
    typer.echo(printable(str(text)) if stream.isatty() else text, nl=nl, err=err)
