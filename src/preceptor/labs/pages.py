"""Pages of labs, from the results that a folder holds: one for each chapter, and one of all verdicts.

Run ``python -m preceptor.labs.pages docs/labs`` to write them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.files import write_text
from preceptor.labs._lab import Lab, labs
from preceptor.labs._results import read_results
from preceptor.labs.chapters import ORDER

__all__ = ["chapter_page", "overview", "write_page", "write_pages"]


def overview(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of all verdicts, in Markdown."""
    rows = [
        f"| [{name}]({one.chapter}.md#{one.name}) | {claim.text} | {_verdict(results, one, name)} |"
        for one in labs()
        for name, claim in one.claims.items()
    ]
    head = ["# Labs", "", "| claim | what it says | verdict |", "|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def chapter_page(chapter: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of a chapter, in Markdown: each lab with its figure, numbers and verdicts."""
    sections = [_section(one, results.get(one.name)) for one in labs(chapter)]
    return "\n\n".join([f"# {chapter.capitalize()}", *sections]) + "\n"


def write_page(folder: Path) -> Path:
    """Write the page of all verdicts beside the results of a folder; return its path."""
    page = folder / "index.md"
    write_text(page, overview(read_results(folder)))
    return page


def write_pages(folder: Path) -> None:
    """Write the pages of all chapters, and that of all verdicts, beside the results of a folder."""
    results = read_results(folder)
    write_page(folder)
    for chapter in ORDER:
        if labs(chapter):
            write_text(folder / f"{chapter}.md", chapter_page(chapter, results))


def _verdict(results: Mapping[str, Mapping[str, Any]], one: Lab, claim: str) -> str:
    return str(results.get(one.name, {}).get("claims", {}).get(claim, {}).get("verdict", "not run"))


def _section(one: Lab, plain: Mapping[str, Any] | None) -> str:
    lines = [f"## {one.name}", "", f"Data: {one.data}.  ", f"Rule: {one.rule}."]
    for name, claim in one.claims.items():
        found = (plain or {}).get("claims", {}).get(name, {})
        lines += ["", f"**{name}**: {claim.text}"]
        lines += [f"Often said: {claim.instead_of}"] if claim.instead_of else []
        lines += [f"Published: {claim.published}"] if claim.published else []
        lines += [f"Source: {claim.source}"] if claim.source else []
        lines += ["", f"Verdict: **{found.get('verdict', 'not run')}**", ""]
        lines += [f"- {check}" for check in found.get("checks", ())]
    if plain and plain.get("note"):
        lines += ["", str(plain["note"])]
    if plain and plain.get("figure"):
        lines += ["", f"![{plain['figure']}]({one.name}.svg)"]
    return "\n".join(lines)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
