"""``preceptor cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from preceptor.cli._say import echo

__all__ = ["cross_validate"]


def cross_validate(
    data: Annotated[
        str, typer.Argument(help="A built-in set such as iris, a file, a folder, or an experiment.toml.")
    ],
    folds: Annotated[int, typer.Option(help="How many folds the examples are cut into.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often they are cut anew.")] = 1,
    groups: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Examples with one value of it stay together.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="As for train.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most this many passes over the training examples.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="The learning rate.")] = None,
    test: Annotated[
        float | None, typer.Option(help="Keep this share of the examples out of it all; default: none.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the cuts.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the results to this JSON file.")] = None,
) -> None:
    """Train on all folds but one, measure on that one, in turn; say how sure the mean is."""
    from preceptor.files import write_json
    from preceptor.report.terminal import line
    from preceptor.search.cross_validation import FoldResult
    from preceptor.search.cross_validation import cross_validate as validate
    from preceptor.training import Experiment
    from preceptor.training.experiment import parse_assignments

    experiment = Experiment.read(Path(data)) if data.endswith(".toml") else None
    given: dict[str, Any] = {"target": target, "task": task, "epochs": epochs, "lr": lr, "test": test}

    def tell(one: FoldResult) -> None:
        if not (one.repeat or one.fold):
            echo("repeat  fold  examples  " + "  ".join(f"{name:>10}" for name in ("loss", *one.metrics)))
        measured = "  ".join(f"{value:10.4f}" for value in (one.loss, *one.metrics.values()))
        echo(f"{one.repeat + 1:>6}  {one.fold + 1:>4}  {one.n:>8}  {measured}")

    result = validate(
        model,
        None if experiment is not None else data,
        folds=folds,
        repeats=repeats,
        groups=groups,
        seed=seed,
        tell=tell,
        experiment=experiment,
        settings=parse_assignments(settings or []),
        **{key: value for key, value in given.items() if value is not None},
    )
    echo(line("folds", f"{result.examples:,} examples, {folds} folds, {repeats} times, {result.manner}"))
    echo(line("result", str(result)))
    if out is not None:
        write_json(out, result.to_plain())
        echo(line("written", str(out)))
