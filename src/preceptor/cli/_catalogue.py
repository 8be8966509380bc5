"""``preceptor catalogue``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from preceptor.catalogue import Entry

__all__ = ["catalogue"]


def catalogue(
    what: Annotated[
        str | None, typer.Argument(help="A kind (optimizers), a pattern (*net*), or 'show'.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="With 'show': the name.")] = None,
    kind: Annotated[str | None, typer.Option(help="The kind, where several things share a name.")] = None,
) -> None:
    """List what can be named, by kind or pattern; `show NAME` tells all about one."""
    from preceptor import catalogue as names
    from preceptor.errors import ConfigError
    from preceptor.report.terminal import table

    if what == "show":
        if name is None:
            raise ConfigError("what is to be shown?", expected="preceptor catalogue show NAME")
        typer.echo(_page(names.entry(name, kind)))
    elif what is None:
        typer.echo(table([(k, str(n)) for k, n in names.kinds().items()], ("kind", "entries")))
    elif any(c in what for c in "*?["):
        typer.echo(_table(names.find(what, kind)))
    elif len(found := names.find(what, kind)) == 1:
        typer.echo(_page(found[0]))
    else:
        typer.echo(_table(names.find("*", what)))


def _table(entries: list[Entry]) -> str:
    from preceptor.report.terminal import table

    return table([(e.name, e.kind, e.summary) for e in entries], ("name", "kind", "what it is"))


def _page(entry: Entry) -> str:
    from preceptor.report.terminal import line

    rows = {
        "name": " · ".join((entry.name, *entry.aliases)),
        "kind": entry.kind,
        "": entry.summary,
        "formula": entry.formula,
        "shapes": entry.shapes,
        "options": ", ".join(f"{key}={value!r}" for key, value in entry.defaults.items()),
        "when": entry.when,
        "pitfalls": entry.pitfalls,
        "differs": entry.differs,
        "source": entry.source,
        "example": entry.example,
    }
    return "\n".join(line(label, text.strip()) for label, text in rows.items() if text)
