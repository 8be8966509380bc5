"""``preceptor sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["sample"]


def sample(
    run: Annotated[Path, typer.Argument(help="The folder of a run of the task density-estimation.")],
    count: Annotated[int, typer.Option(min=1, help="How many examples are drawn.")] = 16,
    seed: Annotated[int | None, typer.Option(help="Of the draws; default: others each time.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the CSV here, images as .npz; default: CSV on standard output.")
    ] = None,
) -> None:
    """Draw new examples from the density that a network has learned."""
    import csv
    import io

    from preceptor.files import write_text
    from preceptor.run import load
    from preceptor.untrusted import harmless_cell

    loaded = load(run)
    made = loaded.sample(count, seed)
    if made.ndim > 2:
        from preceptor.cli._grids import write_arrays

        echo(write_arrays({"image": made}, out), nl=False)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    encoder = loaded.preprocessor.encoder if loaded.preprocessor is not None else None
    names = getattr(encoder, "names", ()) or [f"x{i}" for i in range(made.shape[1])]
    writer.writerow(map(harmless_cell, names))
    writer.writerows(made.tolist())
    if out:
        write_text(out, text.getvalue())
    else:
        echo(text.getvalue(), nl=False)
