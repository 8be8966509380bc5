"""``preceptor check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from preceptor.cli import _findings as findings
from preceptor.cli._say import echo

__all__ = ["check"]


def check(
    data: Annotated[
        str, typer.Argument(help="A built-in set such as digits, a file, a folder, or an experiment.toml.")
    ],
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="As in preceptor train; default: by the targets.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of the training whose time is foretold.")] = None,
    lr: Annotated[float | None, typer.Option(help="The learning rate.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Examples a batch, or 'full'.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of the training; may be repeated."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="Only this check; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="What the checks may take.")] = 25.0,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it here, as JSON; -: print it alone.")
    ] = None,
) -> None:
    """Check a training before it begins: whether it can work, how long it takes, if memory suffices."""
    place = None if json == Path("-") else findings.place(json, "--json")

    from json import dumps

    from preceptor.files import write_json
    from preceptor.run import check as examine
    from preceptor.training.experiment import Experiment, parse_assignments

    chosen: dict[str, Any] = {
        "optimizer.lr": lr,
        "training.batch_size": int(batch_size) if batch_size and batch_size.isdigit() else batch_size,
        "training.device": device,
    }
    chosen = {**{k: v for k, v in chosen.items() if v is not None}, **parse_assignments(settings or [])}
    file = data.endswith(".toml")
    found = examine(
        model,
        data=None if file else data,
        experiment=Experiment.read(Path(data)) if file else None,
        target=target,
        task=task,
        epochs=epochs,
        settings=chosen,
        only=only or None,
        seed=seed,
        seconds=seconds,
    )
    echo(dumps(found.to_plain(), indent=1) if json == Path("-") else str(found))
    if place is not None:
        write_json(place, found.to_plain())
        echo(f"{'json':<8}{place}")
    if found.stopping:
        raise typer.Exit(1)
