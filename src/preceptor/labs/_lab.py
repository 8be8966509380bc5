"""A lab: a claim, or a family of claims, as an experiment with a verdict by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from preceptor.errors import ConfigError, nearest
from preceptor.labs._checks import Check
from preceptor.labs._figure import Figure

__all__ = ["Claim", "Evidence", "Lab", "Setup", "find", "lab", "labs"]

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """A sentence that an experiment can confirm or refute.

    Arguments:
        text: the claim, as one would say it to a practitioner.
        source: who made it: author, title or venue, year.
        reference: a figure to compare with, published or calculated or measured before, where there is one.
        instead_of: what is often said, where that is wrong or too strong and ``text`` is the true version.
    """

    text: str
    source: str = ""
    reference: str = ""
    instead_of: str = ""


@dataclass(frozen=True)
class Setup:
    """How a lab is run.

    Arguments:
        seed: the master seed; all others are drawn from it.
        full: the long form, with more seeds, sizes or steps.

    Example:
        >>> Setup().seeds(3) == Setup().seeds(3), Setup().seeds(3) == Setup(seed=1).seeds(3)
        (True, False)
        >>> Setup().size(200, 5000), Setup(full=True).size(200, 5000)
        (200, 5000)
    """

    seed: int = 0
    full: bool = False

    def seeds(self, count: int, full: int | None = None) -> list[int]:
        """Return independent seeds; ``full`` of them in the long form."""
        wanted = full if self.full and full is not None else count
        drawn: list[int] = np.random.SeedSequence(self.seed).generate_state(wanted).tolist()
        return [value % 2**31 for value in drawn]

    def size(self, quick: T, full: T) -> T:
        """Return the first value, or the second in the long form."""
        return full if self.full else quick


@dataclass(frozen=True)
class Evidence:
    """What a lab found.

    Arguments:
        checks: what decides each claim, by the claim's name.
        figure: the figure that shows it.
        table: what was measured, a row each.
        note: what else there is to learn from it.
    """

    checks: Mapping[str, Sequence[Check]]
    figure: Figure | None = None
    table: Sequence[Mapping[str, Any]] = ()
    note: str = ""


@dataclass(frozen=True)
class Lab:
    """An experiment that decides claims.

    Arguments:
        name: what it is called on the command line.
        chapter: the topic that it belongs to.
        claims: the claims by name.
        data: what it is run on.
        rule: how the verdict comes about, in words.
        run: the experiment.
        quick: it takes at most two seconds or so, and is run with the tests.
    """

    name: str
    chapter: str
    claims: Mapping[str, Claim]
    data: str
    rule: str
    run: Callable[[Setup], Evidence] = field(repr=False)
    quick: bool = False


_LABS: dict[str, Lab] = {}


def lab(
    chapter: str, claims: Mapping[str, Claim], *, data: str, rule: str, quick: bool = False
) -> Callable[[Callable[[Setup], Evidence]], Callable[[Setup], Evidence]]:
    """Register an experiment; its name is the function's, with hyphens.

    Arguments:
        chapter: as for `Lab`.
        claims: as for `Lab`.
        data: as for `Lab`.
        rule: as for `Lab`.
        quick: as for `Lab`.

    Raises:
        ConfigError: the lab or one of its claims has a name that is taken.
    """

    def register(run: Callable[[Setup], Evidence]) -> Callable[[Setup], Evidence]:
        made = Lab(run.__name__.replace("_", "-"), chapter, dict(claims), data, rule, run, quick)
        taken = {made.name, *claims} & {n for other in _LABS.values() for n in (other.name, *other.claims)}
        if taken:
            raise ConfigError("a lab's names are taken", expected="new names", received=", ".join(taken))
        _LABS[made.name] = made
        return run

    return register


def labs(chapter: str | None = None) -> list[Lab]:
    """Return all labs, or those of a chapter, in the order of the chapters."""
    from preceptor.labs import chapters

    chapters.load()
    known = [one for one in _LABS.values() if chapter in (None, one.chapter)]
    return sorted(known, key=lambda one: (chapters.ORDER.index(one.chapter), one.name))


def find(name: str) -> Lab:
    """Return the lab of that name, or the one that decides the claim of that name.

    Raises:
        ConfigError: there is none; the nearest names are suggested.
    """
    for one in labs():
        if name == one.name or name in one.claims:
            return one
    known = list(dict.fromkeys(n for one in labs() for n in (one.chapter, one.name, *one.claims)))
    close = nearest(name, known, 3)
    raise ConfigError(
        f"there is no lab {name!r}",
        expected="a lab, a claim or a chapter of `preceptor lab`",
        received=name,
        hint=f"did you mean {' or '.join(map(repr, close))}?" if close else "preceptor lab lists all",
    )
