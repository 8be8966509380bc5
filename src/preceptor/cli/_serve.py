"""``preceptor serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["serve"]


def serve(
    runs: Annotated[Path, typer.Argument(help="The folder of runs, or one run's.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="Of the address; 0: any that is free.")] = 8765,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="End after so long; default: at Ctrl-C.")
    ] = None,
) -> None:
    """Show runs in a browser, and follow one as it trains; for this machine alone."""
    from preceptor.cli._serving import Server, serve_until
    from preceptor.report.live import find_runs

    server = Server(runs, port)
    found = len(find_runs(runs))
    echo(f"{'serving':<9}{server.address} · {found} run{'' if found == 1 else 's'} in {runs}")
    echo(f"{'':<9}Ctrl-C ends it" if seconds is None else f"{'':<9}for {seconds:g} s")
    serve_until(server, seconds)
