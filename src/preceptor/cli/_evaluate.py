"""``preceptor evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[
        Path | None, typer.Argument(help="New data with known targets; default: the run's own.")
    ] = None,
    on: Annotated[str, typer.Option(help="Which of the run's own examples: test, val or train.")] = "test",
    again: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Why the test set is looked at again; entered into the ledger."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Leave to run your own model's code: file.py:Name.")
    ] = None,
) -> None:
    """Measure a run's best weights; every look at the test set is counted."""
    import warnings

    from preceptor.errors import ConfigError
    from preceptor.report.terminal import line
    from preceptor.run import load
    from preceptor.training.own_code import import_model

    if data is None and on not in ("test", "val", "train"):
        raise ConfigError("unknown part", expected="test, val or train", received=repr(on))
    loaded = load(run, model=import_model(model) if model else None)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        found = loaded.evaluate(str(data) if data else on, **({"again": again} if again is not None else {}))
    for note in notes:
        echo(f"note: {note.message}", err=True)
    echo(line(found.part if len(found.part) < 9 else "data", str(found)))
    for name, value in {"loss": found.loss, **found.metrics}.items():
        if name == "loss" and value != value:  # of what has none
            continue
        echo(line("", f"{name:<15} {value:.4f}"))
    for name, values in found.by_class.items():
        shown = "  ".join(f"{measure} {value:.3f}" for measure, value in values.items())
        echo(line("", f"{name:<15} {shown}"))
