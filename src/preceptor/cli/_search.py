"""``preceptor search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["search"]


def search(
    data: Annotated[
        str | None,
        typer.Argument(help="Built-in data, a file, a folder, an experiment.toml, or a search."),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="What is searched: lr=log:1e-5..1e-1, dropout=0..0.5, model.hidden=64|128; repeatable.",
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="random (default), grid, halving, or optuna:tpe, gp, cmaes, …")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many settings are tried.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Besides, or instead: 30min, 2h, 200trials or 50000steps.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What decides, such as accuracy; default: val_loss.")
    ] = None,
    staged: Annotated[
        bool,
        typer.Option("--staged", help="Tune learning rate and batch size (32 … 256) last, all else before."),
    ] = False,
    then: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY[,KEY]", help="A stage of its own, after what is not named; repeatable, in order."
        ),
    ] = None,
    finalists: Annotated[int, typer.Option(help="How many of the best are trained again.")] = 3,
    repeats: Annotated[int, typer.Option(help="With how many new seeds; 0: not at all.")] = 3,
    eta: Annotated[int, typer.Option(help="Of halving: one in so many goes on.")] = 3,
    workers: Annotated[int, typer.Option(help="Trials at a time, each in a process of its own.")] = 1,
    on: Annotated[str, typer.Option(help="local, or ray://HOST:PORT.")] = "local",
    together: Annotated[
        int, typer.Option(metavar="N", help="Train N trials of one architecture in common steps.")
    ] = 0,
    storage: Annotated[
        str | None, typer.Option(help="A database for Optuna's trials, such as sqlite:///trials.db.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the proposals.")] = 0,
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="As for train.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each trial, at most.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of every trial, or of one tried by hand."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="Try one setting by hand, and write down why; without --space.")
    ] = None,
    parent: Annotated[
        int | None, typer.Option(metavar="N", help="By hand: the trial to change; default: the best.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The search's folder, new or the same; default: searches/NAME-N.")
    ] = None,
) -> None:
    """Try many hyperparameters, judge them on validation, and say what the best are worth."""
    from preceptor.cli._searching import Request, perform

    training: dict[str, Any] = {"target": target, "model": model, "task": task, "epochs": epochs}
    plan: dict[str, Any] = {
        "method": method, "trials": trials, "budget": budget, "metric": metric, "finalists": finalists,
        "repeats": repeats, "eta": eta, "storage": storage, "seed": seed,
    }  # fmt: skip
    request = Request(
        data,
        space or [],
        plan,
        staged or [part.split(",") for part in then or []],
        workers,
        on,
        together,
        training,
        settings or [],
        note,
        parent,
        out,
    )
    raise typer.Exit(perform(request))
