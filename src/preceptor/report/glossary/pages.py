"""The pages of the glossary in ``docs/``: written from the terms themselves, so that they cannot drift.

``python -m preceptor.report.glossary.pages docs`` writes them.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from preceptor.report.glossary import FAMILIES, TERMS, Term, spoken, symbols

__all__ = ["pages"]

_WIDTH = 118
_LONGEST = 4  # what is longer than a letter with its marks is a formula, and stands with its term


def pages() -> dict[str, str]:
    """Return the text of every page by its place below ``docs/``: the map with the symbols, and the families.

    Example:
        >>> sorted(pages())[:2]
        ['glossary.md', 'glossary/data-and-learning.md']
    """
    return {"glossary.md": _map(), **{f"glossary/{_slug(family)}.md": _page(family) for family in FAMILIES}}


def _map() -> str:
    lines = ["# Glossary", ""]
    lines += _paragraph(
        "The words of the field, in the sense in which they are used here. Reports explain theirs from the "
        "same "
        "list, and the command line looks one up, by any of its names or by a symbol:"
    )
    lines += ["", "    $ preceptor catalogue glossary alpha", "    alpha may be one of 4:", "    ...", ""]
    lines += _paragraph(
        "`preceptor catalogue show NAME` finds terms too, where nothing else is called so. What can be "
        "named in a "
        "training has its formula in the [catalogue](catalogue.md)."
    )
    lines += ["", "## Terms", "", "| about | terms |", "|---|---|"]
    lines += [f"| [{family}]({_place(family)}) | {_links(_of(family))} |" for family in FAMILIES]
    lines += ["", "## Symbols", ""]
    lines += _paragraph(
        "Books write the same thing with different letters, and different things with the same one. α "
        "alone may "
        "be the learning rate, momentum, or the strength of a penalty: the line of the formula tells which."
    )
    lines += ["", "| symbol | read | what it may stand for |", "|---|---|---|"]
    short = {
        symbol: meant for symbol, meant in symbols().items() if len(symbol) <= _LONGEST and " " not in symbol
    }
    for symbol in sorted(short, key=lambda each: (spoken(each).lower(), each)):
        said = spoken(symbol)
        lines.append(f"| {_plain(symbol)} | {'' if said == symbol else said} | {_links(short[symbol])} |")
    return "\n".join(lines) + "\n"


def _page(family: str) -> str:
    lines = [f"# {family[:1].upper()}{family[1:]}", "", "All words: [Glossary](../glossary.md)."]
    for each in sorted(_of(family), key=lambda one: one.name):
        lines += ["", f"## {each.name}", "", *_paragraph(_plain(each.text))]
        told = [
            f"- {label}: {text}"
            for label, text in (
                ("written", ", ".join(map(_plain, each.symbols))),
                ("also", ", ".join(each.aliases)),
                ("here", each.here),
                ("in the catalogue", ", ".join(_entry(one) for one in each.see)),
                ("more", f"[{_title(each.page)}](../{each.page})" if each.page else ""),
            )
            if text
        ]
        lines += ["", *(filled for one in told for filled in _paragraph(one))] if told else []
    return "\n".join(lines) + "\n"


def _of(family: str) -> list[Term]:
    return [each for each in TERMS.values() if each.family == family]


def _links(terms: list[Term]) -> str:
    return ", ".join(f"[{each.name}]({_place(each.family)}#{_slug(each.name)})" for each in terms)


def _entry(named: str) -> str:
    kind, _, name = named.partition(":")
    return f"[{name}](../catalogue/{kind}.md#{name.replace('.', '')}) ({kind.replace('-', ' ')})"


def _title(page: str) -> str:
    return page.removesuffix(".md").rpartition("/")[2].replace("-", " ")


def _place(family: str) -> str:
    return f"glossary/{_slug(family)}.md"


def _slug(text: str) -> str:
    """Return the anchor that Markdown gives to a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip())


def _plain(text: str) -> str:
    """Return a text with what Markdown would take for its own marked as meant."""
    return re.sub(r"([*_|<\[\]])", r"\\\1", text)


def _paragraph(text: str) -> list[str]:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _write(docs: Path) -> None:
    wanted = pages()
    (docs / "glossary").mkdir(exist_ok=True)
    for old in (docs / "glossary").glob("*.md"):
        if f"glossary/{old.name}" not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (docs / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
