"""The pages of the causes in ``docs/``: written from the causes themselves, so that they cannot drift.

``python -m preceptor.diagnosis.pages docs`` writes them.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from preceptor.diagnosis.cause import FAMILIES, Cause
from preceptor.diagnosis.causes import CAUSES

__all__ = ["pages"]

_WIDTH = 118


def pages() -> dict[str, str]:
    """Return the text of every page by its place below ``docs/``: a list, and one page a cause.

    Example:
        >>> sorted(pages())[:2]
        ['causes.md', 'causes/bad-initialization.md']
    """
    return {"causes.md": _list(), **{f"causes/{cause.id}.md": _page(cause) for cause in CAUSES.values()}}


def _list() -> str:
    lines = [
        "# Causes",
        "",
        *_filled(
            "What a diagnosis may name. Each has a page: what is wrong, why that hurts, what shows it, what"
            " looks like it, and what helps. On the command line:"
        ),
        "",
        "    $ preceptor catalogue causes",
        "    $ preceptor catalogue show missing-zero-grad",
        "",
        "How they are found and shown: [Diagnosis](diagnosis.md).",
    ]
    for family in FAMILIES:
        lines += ["", f"## {family[:1].upper()}{family[1:]}", "", "| cause | what is wrong |", "|---|---|"]
        found = [cause for cause in CAUSES.values() if cause.family == family]
        lines += [f"| [{cause.id}](causes/{cause.id}.md) | {cause.meaning} |" for cause in found]
    return "\n".join(lines) + "\n"


def _page(cause: Cause) -> str:
    parts = [
        f"# {cause.id}",
        cause.meaning,
        f"**Why it hurts.** {cause.mechanism}",
        f"**What shows it.** {cause.recognised}",
        "**What looks like it.**",
        "\n".join(f"- {_link(other)}: {text}." for other, text in cause.confused.items()),
        f"**What to do.** {cause.remedy[:1].upper()}{cause.remedy[1:]}.",
    ]
    if cause.explains:
        followers = ", ".join(map(_link, cause.explains))
        parts.append(
            f"**What follows from it.** Where this is certain, signs of {followers} are not named beside it."
        )
    parts.append(f"Source: {cause.source}. Family: {cause.family}. All of them: [Causes](../causes.md).")
    return "\n\n".join("\n".join(_filled(part)) for part in parts) + "\n"


def _link(cause: str) -> str:
    return f"[{cause}]({cause}.md)"


def _filled(text: str) -> list[str]:
    filled = []
    for line in text.split("\n"):
        indent = "  " if line.startswith("- ") else ""
        filled += textwrap.wrap(
            line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return filled


def _write(docs: Path) -> None:
    wanted = pages()
    (docs / "causes").mkdir(exist_ok=True)
    for old in (docs / "causes").glob("*.md"):
        if f"causes/{old.name}" not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (docs / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
