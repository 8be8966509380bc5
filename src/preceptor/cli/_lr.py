"""``preceptor lr``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preceptor.cli._say import echo

if TYPE_CHECKING:
    from preceptor.run import DropTest, RateTest
    from preceptor.training import Experiment

__all__ = ["lr"]


def lr(
    data: Annotated[
        str, typer.Argument(help="A built-in set such as digits, a file, a folder, or an experiment.toml.")
    ],
    model: Annotated[
        str | None, typer.Option(help="A name from the catalogue, or your own: file.py:Name.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="Whose learning rate; default: adam.")] = None,
    rates: Annotated[
        list[float] | None,
        typer.Option("--rate", help="A rate to try; repeatable. Default: found between 1e-5 and 10."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings at each rate (4; with --drop 3).")
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of each; default: those of the whole training, at most 500; with --drop 100."
        ),
    ] = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", help="Does the loss drop within 100 iterations? 1e-1 … 1e-4, with and without decay."
        ),
    ] = False,
    engine: Annotated[str, typer.Option(help="auto, sequential, vmapped or batched.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, such as model.hidden=[64]; may be repeated."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the result here: .svg, .png or .pdf.")] = None,
) -> None:
    """Find the learning rate: many rates with several seeds at once; a band, or the reason why none is named.

    Nothing is written but the picture. The exit code is 1 where no rate is named.
    """
    from preceptor.errors import ConfigError
    from preceptor.run import drop_test, lr_test
    from preceptor.training.experiment import parse_assignments

    if drop and out is not None:
        raise ConfigError("a drop test has no picture", expected="--out without --drop", received=str(out))
    source, experiment = _source(data)
    given: dict[str, Any] = {
        "optimizer": optimizer,
        "engine": engine,
        "experiment": experiment,
        "settings": {"data.target": target, **parse_assignments(settings or [])},
        "tell": lambda text: echo(f"{'trying':<9}{text}"),
    }
    given |= {k: v for k, v in (("rates", rates), ("seeds", seeds), ("iterations", iterations)) if v}
    if drop:
        _show_drop(drop_test(model, source, **given))
    else:
        _show(lr_test(model, source, **given), out)


def _source(data: str) -> tuple[str | None, Experiment | None]:
    from preceptor.training import Experiment

    if data.endswith(".toml"):
        return None, Experiment.read(Path(data))
    return data, None


def _show(found: RateTest, out: Path | None) -> None:
    from preceptor.report.terminal import table

    heads = ("rate", f"best {found.monitor}", f"over {found.losses.shape[1]} seeds", "")
    echo(table(found.table(), heads))
    echo(f"{'start':<9}{found.monitor} {found.start:.4g} before training")
    _end(str(found), found.engine, found.why)
    if out is not None:
        found.inspection().save(out)
        echo(f"{'picture':<9}{out}")
    if found.lr is None:
        raise typer.Exit(1)


def _show_drop(found: DropTest) -> None:
    from preceptor.report.terminal import table

    echo(table(found.table(), ("lr", "decay", "loss before", "after", "drop", "")))
    _end(str(found), found.engine, found.why)
    if found.chosen is None:
        raise typer.Exit(1)


def _end(text: str, engine: str, why: str) -> None:
    echo(f"{'result':<9}{text}")
    echo(f"{'trained':<9}{engine}: {why}")
