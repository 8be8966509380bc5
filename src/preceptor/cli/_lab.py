"""``preceptor lab``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from preceptor.cli._say import echo

if TYPE_CHECKING:
    from preceptor.labs import Lab

__all__ = ["lab"]

KEPT = Path("labs")


def lab(
    name: Annotated[str | None, typer.Argument(help="A lab, a claim, or a chapter; none: the list.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run all labs, and write a page.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only those that take a second or so.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The long form: more seeds, sizes, steps.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The master seed, from which all others are drawn.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Labs at the same time.")] = 1,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where results and figures are kept.")] = KEPT,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Keep nothing; exit code 1 where a verdict is not the one that is kept."
        ),
    ] = False,
) -> None:
    """Run a claim of deep learning as an experiment; its verdict: confirmed, refuted or inconclusive."""
    if name is None and not (everything or quick or check):
        echo(_listed(out))
        return
    from preceptor.cli._labs import perform
    from preceptor.labs import Setup

    chosen = _chosen(name, everything, quick)
    raise typer.Exit(perform(chosen, Setup(seed, full), jobs, out, checking=check))


def _chosen(name: str | None, everything: bool, quick: bool) -> list[Lab]:
    from preceptor.errors import ConfigError
    from preceptor.labs import find, labs

    if name is not None and everything:
        raise ConfigError(
            "name one lab, or take all", expected=f"preceptor lab {name}", received=f"{name} --all"
        )
    known = labs()
    chosen = known
    if name is not None:
        chosen = [one for one in known if one.chapter == name] or [find(name)]
    if quick and not any(one.quick for one in chosen):
        raise ConfigError(
            f"{name} takes longer than a second",
            expected="a quick lab",
            received="--quick",
            hint="leave it out",
        )
    return [one for one in chosen if one.quick or not quick]


def _listed(out: Path) -> str:
    """Return a row a claim, with the verdict that the folder holds."""
    from preceptor.labs import labs, read_results
    from preceptor.report.terminal import table

    kept = read_results(out)
    rows = []
    for one in labs():
        verdicts = kept.get(one.name, {}).get("claims", {})
        rows += [
            (one.chapter, one.name, name, verdicts.get(name, {}).get("verdict", "not run"))
            for name in one.claims
        ]
    left = sum(row[-1] == "not run" for row in rows)
    return (
        f"{table(rows, ('chapter', 'lab', 'claim', 'verdict'))}\n\n"
        f"{len(rows)} claims, {left} not run · verdicts from {out} · preceptor lab NAME runs one"
    )
