"""``preceptor eject``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["eject"]


def eject(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Print a run as a plain PyTorch script that gives the same weights."""
    from preceptor.run import script

    echo(script(run), nl=False)
