"""``preceptor predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["predict"]


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[Path, typer.Argument(help="New examples, in the form of the training data.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the CSV here, masks or images as .npz; default: CSV on standard output."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Predict for new examples; CSV with a row for each, masks and images as arrays of an .npz file."""
    import csv
    import io
    import warnings

    from preceptor.files import write_text
    from preceptor.run import load
    from preceptor.run._answers import columns as columns_of
    from preceptor.training.own_code import import_model
    from preceptor.untrusted import harmless_cell

    loaded = load(run, model=import_model(model) if model else None)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        predictions = loaded.predict(str(data))
    for note in notes:
        echo(f"note: {note.message}", err=True)
    if predictions.ndim > 2:
        from preceptor.cli._grids import write_grids

        echo(write_grids(loaded, predictions, out), nl=False)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if (own := columns_of(loaded, str(data), predictions)) is not None:
        writer.writerow(["row", *map(harmless_cell, own[0])])
        writer.writerows([i, *map(harmless_cell, row)] for i, row in enumerate(own[1], 1))
    elif loaded.task.name == "classification":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said already
            sure = loaded.predict_proba(str(data)).max(axis=1)
        writer.writerow(["row", "prediction", "probability"])
        writer.writerows(
            [i, harmless_cell(p), f"{s:.4f}"]
            for i, (p, s) in enumerate(zip(predictions, sure, strict=True), 1)
        )
    else:
        columns = predictions.reshape(len(predictions), -1)
        names = (
            ["prediction"] if columns.shape[1] == 1 else [f"prediction_{i}" for i in range(columns.shape[1])]
        )
        writer.writerow(["row", *names])
        writer.writerows([i, *row] for i, row in enumerate(columns.tolist(), 1))
    if out:
        write_text(out, text.getvalue())
    else:
        echo(text.getvalue(), nl=False)
