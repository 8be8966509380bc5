"""The pages of the practice map: one table a topic, made from the advice itself."""

from __future__ import annotations

from collections.abc import Iterable

from preceptor.recipe.practice._advice import Advice, Topic

__all__ = ["pages"]

_TITLES = {
    "practice": "Practice",
    "practice-networks": "Practice: networks",
    "practice-optimization": "Practice: optimisation",
    "practice-data": "Practice: data and measures",
    "practice-procedure": "Practice: procedure",
}
_LEAD = """\
What practitioners tell each other, and where Preceptor does it, looks for it, tries it, or has it at hand. A
test fails where advice has no home, or a home does not exist.

*looked for*: a [cause](causes.md) that a diagnosis may name, a verdict on [curves](diagnosis.md), a stall
that is explained, a check before training (`preceptor check`), a check of the [audit](audit.md). *done*: by a
[setting](settings.md) or a command. *tried*: a change that [trials](trials.md) make. *at hand*: in the
[catalogue](catalogue.md). *told*: on a page.
"""
_ACTS = (
    ("looked for", ("cause", "verdict", "stall", "check", "audit")),
    ("done", ("setting", "command")),
    ("tried", ("trial",)),
    ("at hand", ("entry",)),
    ("told", ("page",)),
)


def pages(topics: Iterable[Topic]) -> dict[str, str]:
    """Return the pages of the docs by file name.

    Example:
        >>> from preceptor.recipe.practice import TOPICS
        >>> sorted(pages(TOPICS))[0]
        'practice-data.md'
    """
    made: dict[str, list[str]] = {}
    for topic in topics:
        lines = made.setdefault(topic.page, _head(topic.page))
        lines += [f"## {topic.title}", "", "| advice | where it lives |", "|---|---|"]
        lines += [f"| {one.text} | {_homes(one)} |" for one in topic.advice]
        lines.append("")
    return {f"{page}.md": "\n".join(lines).rstrip("\n") + "\n" for page, lines in made.items()}


def _head(page: str) -> list[str]:
    others = [f"[{title}]({name}.md)" for name, title in _TITLES.items() if name != page]
    lead = [_LEAD] if page == "practice" else []
    return [f"# {_TITLES[page]}", "", *lead, "Further: " + ",\n".join(others) + ".", ""]


def _homes(advice: Advice) -> str:
    told = []
    for act, kinds in _ACTS:
        links = [_link(*home.split(":", 1)) for home in advice.homes if home.split(":", 1)[0] in kinds]
        if links:
            told.append(f"{act}: {', '.join(links)}")
    return "; ".join(told)


def _link(kind: str, name: str) -> str:
    """Return a home as a link, or as code where no page is about it alone."""
    if kind == "entry":
        family, _, entry = name.partition("/")
        return f"[{entry}](catalogue/{family}.md)"
    places = {
        "cause": f"causes/{name}.md",
        "verdict": "diagnosis.md",
        "stall": "diagnosis.md",
        "audit": "audit.md",
        "trial": "trials.md",
        "page": name,
    }
    if kind in places:
        return f"[{name.removesuffix('.md')}]({places[kind]})"
    return f"`preceptor {name}`" if kind == "command" else f"`{name}`"
