"""``preceptor catalogue glossary``: the words of the field, and the letters that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preceptor.report.glossary import Term

__all__ = ["glossary", "is_term", "term_page"]


def is_term(name: str) -> bool:
    """Return whether a name or symbol is in the glossary."""
    from preceptor.errors import UnknownName
    from preceptor.report.glossary import explained

    try:
        return bool(explained(name))
    except UnknownName:
        return False


def glossary(name: str | None) -> str:
    """Return all terms by family; with a name or a symbol what that means."""
    from preceptor.report.glossary import TERMS, explained
    from preceptor.report.terminal import table

    if name is not None:
        found = explained(name)
        pages = [term_page(each) for each in found]
        return "\n\n".join([f"{name} may be one of {len(found)}:", *pages] if len(pages) > 1 else pages)
    rows = [(each.name, each.family, ", ".join(each.symbols)) for each in TERMS.values()]
    return table(rows, ("term", "about", "written"))


def term_page(term: Term) -> str:
    """Return all about a term."""
    from preceptor.report.terminal import line

    rows = {
        "name": " · ".join((term.name, *term.aliases)),
        "kind": f"term · {term.family}",
        "": term.text,
        "written": ", ".join(term.symbols),
        "here": term.here.replace("`", ""),
        "see": ", ".join(term.see),
        "more": f"docs/{term.page}" if term.page else "",
    }
    return "\n".join(line(label, text) for label, text in rows.items() if text)
