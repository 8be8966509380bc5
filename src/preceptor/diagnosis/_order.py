"""The order of calls, as rules ask for it: what comes how often, at which lines, after which other call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from preceptor.diagnosis.case import Case
from preceptor.observation.protocol import Event

__all__ = ["Stretch", "count", "line_of", "lines_of", "on", "step_of", "stretches"]


class Stretch(NamedTuple):
    """Calls up to an optimizer's step, and how often they came in a row.

    Attributes:
        step: the training step that the first of them led to.
        events: the calls in order.
        repeats: how many steps in a row had exactly these calls.
    """

    step: int
    events: tuple[Event, ...]
    repeats: int


def stretches(case: Case) -> Iterator[Stretch]:
    """Yield the calls step by step; what is too long for one phrase comes in pieces with the same step."""
    step = 0
    for phrase in case.phrases:
        yield Stretch(step, phrase.events, phrase.repeats)
        step += phrase.repeats * any(event.kind == "step" for event in phrase.events)


def count(case: Case, kind: str, where: Callable[[Event], bool] = lambda _: True) -> int:
    """Return how many calls of a kind there were that fulfil ``where``."""
    return sum(
        phrase.repeats * sum(event.kind == kind and where(event) for event in phrase.events)
        for phrase in case.phrases
    )


def lines_of(case: Case, kind: str, where: Callable[[Event], bool] = lambda _: True) -> Counter[str]:
    """Return how often calls of a kind came from each of the user's lines."""
    found: Counter[str] = Counter()
    for phrase in case.phrases:
        for event in phrase.events:
            if event.kind == kind and event.where and where(event):
                found[event.where] += phrase.repeats
    return found


def line_of(case: Case, kind: str, where: Callable[[Event], bool] = lambda _: True) -> str:
    """Return the line from which most calls of a kind came; "" without any."""
    return next((line for line, _ in lines_of(case, kind, where).most_common(1)), "")


def on(subject: str) -> Callable[[Event], bool]:
    """Return a condition: the call is made on this object."""
    return lambda event: event.subject == subject


def step_of(case: Case, where: Callable[[Event], bool]) -> int | None:
    """Return the training step that the first call that fulfils ``where`` belongs to; None without any."""
    return next((s.step for s in stretches(case) if any(where(event) for event in s.events)), None)
