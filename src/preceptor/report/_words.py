"""The terms of a page, each explained at its end: where one stands, it leads there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from preceptor import catalogue
from preceptor.diagnosis.causes import CAUSES
from preceptor.errors import UnknownName
from preceptor.report import glossary
from preceptor.report._format import clean, label

if TYPE_CHECKING:
    from preceptor.diagnosis.cause import Cause

__all__ = ["Word", "Words"]

_KINDS = {
    "optimizer.name": "optimizer",
    "loss.name": "loss",
    "schedule.name": "schedule",
    "model.name": "architecture",
    "model.activation": "activation",
}
"""The settings whose value names an entry of the catalogue, with its kind."""


@dataclass(frozen=True)
class Word:
    """One term, as it is explained.

    Attributes:
        key: its id on the page.
        name: as it stands in the list.
        text: what it means.
        more: further lines: label and text.
    """

    key: str
    name: str
    text: str
    more: tuple[tuple[str, str], ...] = ()


class Words:
    """The terms that one page has used, in the order in which it did.

    Example:
        >>> words = Words()
        >>> words.link("Recall"), words.link("my column")
        (Markup('<a class="word" href="#word-recall">Recall</a>'), 'my column')
        >>> [word.name for word in words.used]
        ['recall']
    """

    def __init__(self) -> None:
        self._used: dict[str, Word] = {}

    @property
    def used(self) -> list[Word]:
        """The terms that were linked, sorted by name."""
        return sorted(self._used.values(), key=lambda word: word.name.lower())

    def link(self, text: str) -> str:
        """Return a text as a link to what it means; as it is where it is no term of ours."""
        if isinstance(text, Markup) or not text:
            return text
        word = _own(text) or _entry("metric", _measure(text))
        return text if word is None else self._linked(word, text)

    def setting(self, key: str, text: str) -> str:
        """Return a setting's value as a link, where it names an entry of the catalogue."""
        kind = _KINDS.get(key)
        word = _entry(kind, text) if kind else None
        return text if word is None else self._linked(word, text)

    def cause(self, cause: str) -> str:
        """Return a cause's id as a link to all that is known of it."""
        return self._linked(_of_cause(CAUSES[cause]), cause)

    def _linked(self, word: Word, text: str) -> Markup:
        self._used[word.key] = word
        return Markup('<a class="word" href="#{}">{}</a>').format(word.key, clean(text))


def _own(text: str) -> Word | None:
    found = glossary.term(text.partition(", ")[0].partition(" (")[0])
    if found is None:
        return None
    told = (("written", ", ".join(found.symbols)), ("here", found.here.replace("`", "")))
    return Word(_key(found.name), found.name, found.text, tuple((what, t) for what, t in told if t))


def _measure(text: str) -> str:
    """Return the measure that a heading, a column or a tile is about: "Test accuracy" is of accuracy."""
    words = re.sub(r"^(train|val|test|validation|training)[_ ]", "", text.lower())
    return words.replace("_", "-").replace(" ", "-")


@lru_cache(maxsize=512)
def _entry(kind: str, name: str) -> Word | None:
    try:
        found = catalogue.entry(name, kind)
    except UnknownName:
        return None
    told = (
        ("formula", found.formula),
        ("when", found.when),
        ("pitfalls", found.pitfalls),
        ("source", found.source),
    )
    more = tuple((what, clean(text, 600)) for what, text in told if text)
    return Word(_key(f"{kind}-{found.name}"), label(f"{found.name} ({kind})", 80), found.summary, more)


def _of_cause(cause: Cause) -> Word:
    confused = "; ".join(f"{other}: {told}" for other, told in cause.confused.items())
    told = (
        ("why it hurts", cause.mechanism),
        ("how it is known", cause.recognised),
        ("looks like", confused),
        ("remedy", cause.remedy),
        ("source", cause.source),
    )
    return Word(f"word-cause-{cause.id}", cause.id, cause.meaning, tuple((what, t) for what, t in told if t))


def _key(name: str) -> str:
    return "word-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
