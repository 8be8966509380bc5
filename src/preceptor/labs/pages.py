"""Pages of labs, from the results that a folder holds: one for each lab, one for each chapter, and a map.

Run ``python -m preceptor.labs.pages docs/labs`` to write them.
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from preceptor.files import write_text
from preceptor.labs._lab import Claim, Lab, labs
from preceptor.labs._results import read_results
from preceptor.labs.chapters import ORDER, titles

__all__ = ["chapter_page", "lab_page", "overview", "pages", "write_page", "write_pages"]

Results = Mapping[str, Mapping[str, Any]]

_WIDTH = 116
_WORDS = ("confirmed", "refuted", "inconclusive", "not run")


def overview(results: Results) -> str:
    """Return the map in Markdown: the chapters with the number of claims by verdict."""
    rows = []
    for chapter in ORDER:
        found = [_verdict(results, one, name) for one in labs(chapter) for name in one.claims]
        if found:
            counts = Counter(found)
            numbers = " | ".join(str(counts[word] or "–") for word in _WORDS)
            rows.append(f"| [{titles()[chapter]}]({chapter}.md) | {len(found)} | {numbers} |")
    lead = _paragraph(
        "Claims of deep learning as experiments, each with a verdict by a rule that is stated beside it. "
        "`preceptor lab NAME` runs one."
    )
    head = f"| chapter | claims | {' | '.join(_WORDS)} |"
    return "\n".join(["# Verdicts", "", *lead, "", head, _rule(2 + len(_WORDS)), *rows]) + "\n"


def chapter_page(chapter: str, results: Results) -> str:
    """Return the page of a chapter in Markdown: a row a claim, with its verdict."""
    rows = [
        f"| {f'[{name}]({one.name}.md)' if one.name in results else name} | {_cell(claim.text)} "
        f"| {_verdict(results, one, name)} |"
        for one in labs(chapter)
        for name, claim in one.claims.items()
    ]
    lines = [f"# {titles()[chapter]}", "", "All chapters: [Verdicts](index.md).", ""]
    return "\n".join([*lines, "| claim | what it says | verdict |", _rule(3), *rows]) + "\n"


def lab_page(one: Lab, found: Mapping[str, Any]) -> str:
    """Return the page of a lab in Markdown: its data, rule, claims with checks and verdicts, numbers, figure.

    Arguments:
        one: which.
        found: its result, as it is kept.
    """
    lines = [f"# {one.name}", "", f"Chapter: [{titles()[one.chapter]}]({one.chapter}.md).", ""]
    lines += [*_paragraph(f"**Data:** {one.data}."), "", *_paragraph(f"**Rule:** {one.rule}."), ""]
    if found["figure"]:
        seen = str(found["figure"]).translate({ord("["): "(", ord("]"): ")"})
        lines += [*_paragraph(f"![{seen}]({one.name}.svg)"), ""]
    for name, claim in one.claims.items():
        lines += [*_claim(name, claim, found["claims"].get(name, {})), ""]
    lines += _table(found["table"])
    lines += [*_paragraph(str(found["note"])), ""] if found["note"] else []
    form = "the long form" if found["full"] else "the short form"
    ran = f"Master seed {found['seed']}, {form}, {found['seconds']:.0f} s: `preceptor lab {one.name}`."
    return "\n".join([*lines, ran]) + "\n"


def _claim(name: str, claim: Claim, found: Mapping[str, Any]) -> Iterable[str]:
    yield from (f"## {name}", "", *_paragraph(claim.text), "")
    if claim.instead_of:
        yield from (*_paragraph(f"Often said: {claim.instead_of}."), "")
    if claim.reference:
        yield from (*_paragraph(f"Reference figure: {claim.reference}."), "")
    yield f"**{str(found.get('verdict', 'not run')).capitalize()}.**"
    if found.get("checks"):
        yield ""
    for check in found.get("checks", ()):
        yield from textwrap.wrap(f"- {check}", _WIDTH, subsequent_indent="  ", break_long_words=False)
    if claim.source:
        yield from ("", *_paragraph(f"Source: {claim.source}."))


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    heads = list(dict.fromkeys(key for row in rows for key in row))
    body = [f"| {' | '.join(_cell(row.get(key, '')) for key in heads)} |" for row in rows]
    return ["## Numbers", "", f"| {' | '.join(map(_cell, heads))} |", _rule(len(heads)), *body, ""]


def _rule(columns: int) -> str:
    return "|" + "---|" * columns


def _cell(value: Any) -> str:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _verdict(results: Results, one: Lab, claim: str) -> str:
    return str(results.get(one.name, {}).get("claims", {}).get(claim, {}).get("verdict", "not run"))


def pages(results: Results) -> dict[str, str]:
    """Return every page by the name of its file; a lab has one once it has been run."""
    made = {"index.md": overview(results)}
    for chapter in ORDER:
        if labs(chapter):
            made[f"{chapter}.md"] = chapter_page(chapter, results)
    return made | {
        f"{one.name}.md": lab_page(one, results[one.name]) for one in labs() if one.name in results
    }


def write_page(folder: Path) -> Path:
    """Write all pages beside the results of a folder; return the path of the map."""
    write_pages(folder)
    return folder / "index.md"


def write_pages(folder: Path) -> None:
    """Write all pages beside the results of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(read_results(folder)).items():
        write_text(folder / name, text)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
