"""``preceptor compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preceptor.cli._say import echo

__all__ = ["compare"]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the comparison here, as one HTML file.")
    ] = None,
) -> None:
    """Show which settings of some runs differ, their results, and whether that is more than noise."""
    from preceptor.errors import ConfigError
    from preceptor.report.compare import compare as compare_runs
    from preceptor.report.terminal import table
    from preceptor.training import RunFolder

    if len(runs) < 2:
        raise ConfigError(
            "one run cannot be compared", expected="two or more run folders", received=str(runs[0])
        )
    folders = [RunFolder(run) for run in runs]
    found = compare_runs(folders)
    differences = [(key, *map(str, values)) for key, values in found.settings.items()]
    echo(table(differences or [("(none differ)", *["" for _ in runs])], ("setting", *found.runs)))
    echo("")
    results = [(name, *(_number(v) for v in values)) for name, values in found.metrics.items()]
    echo(table(results, ("at the best epoch", *found.runs)))
    if any(len(group.seeds) > 1 for group in found.groups):
        names = list(dict.fromkeys(name for group in found.groups for name in group.metrics))
        means = [(name, *(_mean(group.metrics.get(name, ())) for group in found.groups)) for name in names]
        heads = [f"{group.name} ({len(group.seeds)})" for group in found.groups]
        echo("\n" + table(means, ("mean ± deviation (seeds)", *heads)))
    for difference in found.differences:
        echo(str(difference))
    for note in found.notes:
        echo(f"note: {note}")
    if report is not None:
        from preceptor.report.comparison import write
        from preceptor.report.terminal import line

        echo(line("report", str(write(folders, report))))


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "–" if value is None else str(value)


def _mean(values: tuple[float, ...]) -> str:
    from statistics import fmean, stdev

    if not values:
        return "–"
    return f"{fmean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
