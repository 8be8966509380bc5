"""``preceptor train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train"]


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="A built-in set such as digits, a file, a folder, or an experiment.toml."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: by the targets.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most this many passes over the training examples.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="The learning rate.")] = None,
    batch_size: Annotated[str | None, typer.Option(help="Examples a batch, or 'full'.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, dropout and the order of examples.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, such as optimizer.lr=3e-3; may be repeated."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, …")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: the next runs/NAME-N.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, exactly where it was.")
    ] = None,
    attend: Annotated[
        bool,
        typer.Option(
            "--attend", help="Where something is wrong, try what may help, apply what does, and train again."
        ),
    ] = False,
    origin: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Train anew, with the settings of this run.")
    ] = None,
    apply: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="With --from: make the change that removes that run's finding N, or KIND=VALUE.",
        ),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Measure once on the test set at the end.")
    ] = True,
) -> None:
    """Train a network, and write a run folder with its weights, history and report."""
    from preceptor.cli._training import Request, perform

    chosen: dict[str, Any] = {
        "target": target,
        "model": model,
        "task": task,
        "epochs": epochs,
        "lr": lr,
        "batch_size": int(batch_size) if batch_size and batch_size.isdigit() else batch_size,
        "seed": seed,
        "device": device,
    }
    raise typer.Exit(perform(Request(data, chosen, settings or [], out, resume, test, attend, origin, apply)))
