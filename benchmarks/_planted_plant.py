"""A plant: one fault put into a healthy program by exchanging a piece of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from _planted_problem import Problem


@dataclass(frozen=True)
class Plant:
    """One fault in one program.

    Arguments:
        cause: what is planted.
        host: the healthy program.
        edit: makes the faulty program of it.
        what: the edit in words.
        exact: the fault is there by construction, whether or not this run suffers from it.
        also: causes that name the same fault as truly.
        own_data: the result is measured on the faulty program's validation data, for they are what it was
            trained for; else on the healthy program's.
    """

    cause: str
    host: Problem
    edit: Callable[[Problem], Problem]
    what: str
    exact: bool = False
    also: tuple[str, ...] = ()
    own_data: bool = False

    @property
    def family(self) -> str:
        """The kind of network: the host's name up to its comma."""
        return self.host.name.partition(",")[0]

    @property
    def problem(self) -> Problem:
        """The faulty program."""
        return self.edit(self.host)


def plants(
    cause: str,
    what: str,
    edit: Callable[[Problem], Problem],
    *hosts: Problem,
    exact: bool = False,
    also: tuple[str, ...] = (),
    own_data: bool = False,
) -> list[Plant]:
    """Return the same edit in several programs."""
    return [Plant(cause, host, edit, what, exact, also, own_data) for host in hosts]


def exchanged(**pieces: object) -> Callable[[Problem], Problem]:
    """Return the edit that exchanges pieces."""
    return lambda problem: problem.but(**pieces)


def remodelled(change: Callable[[nn.Module], nn.Module]) -> Callable[[Problem], Problem]:
    """Return the edit that changes the model right after it was built."""
    return lambda problem: problem.but(model=lambda: change(problem.model()))
