"""One piece of advice for those who train networks, and where in Preceptor it lives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Advice", "Topic", "topic"]


@dataclass(frozen=True)
class Advice:
    """A piece of advice.

    Attributes:
        name: what it is called.
        text: the advice, in a sentence or two.
        homes: where it is done, looked for, or said, each ``"kind:name"``; see `homes`.
    """

    name: str
    text: str
    homes: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """What belongs together.

    Attributes:
        title: of the section.
        page: the page of the docs that it is on, without its ending.
        advice: in the order in which it is read.
    """

    title: str
    page: str
    advice: tuple[Advice, ...]


def topic(title: str, page: str, *rows: tuple[str, str, str]) -> Topic:
    """Return a topic of rows (name, text, homes apart by commas)."""
    return Topic(
        title,
        page,
        tuple(Advice(name, text, tuple(map(str.strip, homes.split(",")))) for name, text, homes in rows),
    )
