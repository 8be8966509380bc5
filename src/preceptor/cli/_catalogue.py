"""``preceptor catalogue``."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from preceptor.cli._say import echo

if TYPE_CHECKING:
    from preceptor.catalogue import Entry
    from preceptor.diagnosis.cause import Cause
    from preceptor.errors import UnknownName

__all__ = ["catalogue"]


def catalogue(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A kind (optimizers, causes), a pattern (*net*), 'errata', 'glossary', or 'show'."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            help="With 'show': the name; with 'errata': a topic; with 'glossary': a word or symbol."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="The kind, where several things share a name.")] = None,
    counts: Annotated[
        bool, typer.Option("--counts", help="With architectures: parameters, operations and memory of each.")
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With architectures: draw parameters against operations (.svg, .png, .pdf)."
        ),
    ] = None,
) -> None:
    """List what can be named, by kind or pattern; `show NAME` tells all about one; `errata`, `glossary`."""
    from preceptor import catalogue as names
    from preceptor.errors import ConfigError
    from preceptor.report.terminal import table

    if counts or chart is not None:
        from preceptor.cli._chart import compared

        echo(compared(what, chart))
    elif what == "show":
        if name is None:
            raise ConfigError("what is to be shown?", expected="preceptor catalogue show NAME")
        echo(_shown(name, kind))
    elif what in ("errata", "erratum", "misprints"):
        from preceptor.cli._errata import errata

        echo(errata(name))
    elif what in ("glossary", "term", "terms", "words"):
        from preceptor.cli._glossary import glossary, is_term

        echo(glossary(name) if name is None or is_term(name) else _shown(name, kind))
    elif what is None:
        kinds = sorted({**names.kinds(), "cause": len(_causes("*"))}.items())
        echo(table([(k, str(n)) for k, n in kinds], ("kind", "entries")))
    elif _is_cause(what):
        echo(table([(c.id, c.family, c.meaning) for c in _causes("*")], ("name", "family", "what it is")))
    else:
        echo(_found(what, kind))


def _found(what: str, kind: str | None) -> str:
    """List what matches a pattern, or a kind; one thing alone with all about it."""
    from preceptor import catalogue as names
    from preceptor.report.terminal import table

    entries = [] if _is_cause(kind) else names.find(what, kind)
    causes = _causes(what) if kind is None or _is_cause(kind) else []
    rows = [(e.name, e.kind, e.summary) for e in entries] + [(c.id, "cause", c.meaning) for c in causes]
    if not any(c in what for c in "*?["):
        if len(rows) == 1:
            return _cause_page(causes[0]) if causes else _page(entries[0])
        rows = [(e.name, e.kind, e.summary) for e in names.find("*", what)]
    return table(rows, ("name", "kind", "what it is"))


def _shown(name: str, kind: str | None) -> str:
    from preceptor import catalogue as names
    from preceptor.errors import UnknownName

    if kind is not None and not _is_cause(kind):
        return _page(names.entry(name, kind))
    causes = _causes(name)
    if len(causes) == 1:
        return _cause_page(causes[0])
    if kind is not None:
        raise UnknownName("cause", name, [cause.id for cause in _causes("*")])
    try:
        return _page(names.entry(name))
    except UnknownName as error:
        return _other(name, error)


def _other(name: str, error: UnknownName) -> str:
    """Return what a name means outside the catalogue; raise with the nearest names where that is nothing."""
    from preceptor.cli._glossary import term_page
    from preceptor.errors import UnknownName, nearest
    from preceptor.report.glossary import TERMS, term

    if (word := term(name)) is not None:
        return term_page(word)
    others = [cause.id for cause in _causes("*")] + [n for t in TERMS.values() for n in (t.name, *t.aliases)]
    closest = nearest(name, list(dict.fromkeys([*error.suggestions, *nearest(name, others)])))
    if closest and closest[0] not in error.suggestions:
        del closest[1:]
    hint = (
        "did you mean " + " or ".join(map(repr, closest)) + "?"
        if closest
        else "preceptor catalogue lists the kinds"
    )
    raise UnknownName("name", name, error.choices, hint=hint) from None


def _is_cause(kind: str | None) -> bool:
    return kind is not None and kind.strip().lower() in ("cause", "causes")


def _causes(pattern: str) -> list[Cause]:
    from preceptor.diagnosis.causes import CAUSES

    wanted = pattern.strip().lower().replace("_", "-").replace(" ", "-")
    return [cause for key, cause in CAUSES.items() if fnmatch.fnmatchcase(key, wanted)]


def _cause_page(cause: Cause) -> str:
    from preceptor.report.terminal import line

    rows = {
        "name": cause.id,
        "kind": f"cause · {cause.family}",
        "": cause.meaning,
        "why": cause.mechanism,
        "shown by": cause.recognised,
        "unlike": "\n".join(f"{other}: {text}" for other, text in cause.confused.items()),
        "remedy": cause.remedy,
        "explains": ", ".join(cause.explains),
        "source": cause.source,
    }
    return "\n".join(line(label, text) for label, text in rows.items() if text)


def _page(entry: Entry) -> str:
    from preceptor.cli._curve import curve_of
    from preceptor.cli._errata import misprints_of
    from preceptor.report.terminal import line

    rows = {
        "name": " · ".join((entry.name, *entry.aliases)),
        "kind": entry.kind,
        "": entry.summary,
        "formula": entry.formula,
        "curve": curve_of(entry),
        "shapes": entry.shapes,
        "options": ", ".join(f"{key}={value!r}" for key, value in entry.defaults.items()),
        "when": entry.when,
        "pitfalls": entry.pitfalls,
        "differs": entry.differs,
        "misprint": misprints_of(entry),
        "source": entry.source,
        "example": entry.example,
    }
    return "\n".join(line(label, text.strip("\n")) for label, text in rows.items() if text)
