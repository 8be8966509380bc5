"""``preceptor lab``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from preceptor.labs import Lab, Result

__all__ = ["lab"]

KEPT = Path("labs")


def lab(
    name: Annotated[str | None, typer.Argument(help="A lab, a claim, or a chapter; none: the list.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run all labs, and write a page.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --all: only those that take seconds.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The long form: more seeds, sizes, steps.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The master seed, from which all others are drawn.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Labs at the same time.")] = 1,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where results and figures are kept.")] = KEPT,
) -> None:
    """Run a claim of deep learning as an experiment; its verdict: confirmed, refuted or inconclusive."""
    from preceptor.labs import find, labs

    chapters = {one.chapter for one in labs()}
    if name is None and not everything:
        typer.echo(_listed(labs(), out))
        return
    chosen = (
        labs(name if name in chapters else None) if everything or name in chapters else [find(name or "")]
    )
    chosen = [one for one in chosen if one.quick or not quick]
    _run(chosen, full, seed, jobs, out)


def _listed(known: list[Lab], out: Path) -> str:
    from preceptor.labs import read_results
    from preceptor.report.terminal import table

    kept = read_results(out)
    rows = [
        (
            one.chapter,
            one.name,
            name,
            kept.get(one.name, {}).get("claims", {}).get(name, {}).get("verdict", ""),
        )
        for one in known
        for name in one.claims
    ]
    return table(rows, ("chapter", "lab", "claim", "verdict"))


def _run(chosen: list[Lab], full: bool, seed: int, jobs: int, out: Path) -> None:
    from preceptor.labs import Setup, flipped, keep, perform_all, read_results
    from preceptor.labs.pages import write_page

    before = read_results(out)

    def tell(result: Result) -> None:
        keep(result, out)
        typer.echo(f"{result}\n  {result.lab.data} · {result.seconds:.1f} s\n")

    results = perform_all(chosen, Setup(seed, full), jobs, tell)
    for name, old, new in flipped(before, [one.to_plain() for one in results]):
        typer.echo(f"flipped: {name} was {old}, is {new}")
    verdicts = [verdict for one in results for verdict in one.verdicts.values()]
    counted = ", ".join(f"{verdicts.count(v)} {v}" for v in ("confirmed", "refuted", "inconclusive"))
    if len(results) > 1:
        typer.echo(f"{len(verdicts)} claims: {counted} · {write_page(out)}")
