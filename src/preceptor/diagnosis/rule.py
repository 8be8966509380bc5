"""Rules: small functions from a case to findings, registered by the causes that they may name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from preceptor.diagnosis.case import Case
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding
from preceptor.errors import UnknownName

__all__ = ["RULES", "Rule", "load_rules", "rule"]

_FAMILIES = (
    *("data", "scales", "preparation", "destruction", "labels", "pairing", "order", "amounts", "splits"),
    *("protocol", "modes", "losses", "outputs", "structure", "numerics", "rates", "fit"),
    *("coverage", "wiring", "schedules", "strengths", "explosions", "restoring", "metrics"),
    *("overshooting", "collapses", "budget", "optimizers", "capacity"),
    *("steps", "resources", "shapes", "mismatch", "classes", "scores", "softmax", "reshapes"),
    *("initial", "units", "logarithms"),
)
_F = TypeVar("_F", bound=Callable[[Case], Iterable[Finding]])


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: its file and function, as "order.sorted_batches".
        causes: what it may find.
        early: whether it may be asked while the run goes on; others judge its end.
        find: the function itself.
    """

    name: str
    causes: tuple[str, ...]
    early: bool
    find: Callable[[Case], Iterable[Finding]]


RULES: dict[str, Rule] = {}
"""Every rule by name; filled by `load_rules`."""


def rule(*causes: str, early: bool = False) -> Callable[[_F], _F]:
    """Register a function as a rule that may name ``causes``.

    Raises:
        UnknownName: no such cause.
    """
    for cause in causes:
        if cause not in CAUSES:
            raise UnknownName("cause", cause, CAUSES)

    def register(function: _F) -> _F:
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        RULES[name] = Rule(name, causes, early, function)
        return function

    return register


def load_rules(complain: Callable[[str], None] | None = None) -> dict[str, Rule]:
    """Import every family of rules and return all of them.

    Arguments:
        complain: told of a family that could not be imported; the others are there all the same.
    """
    for family in _FAMILIES:
        module = f"{__package__}.rules.{family}"
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 one family's error must not cost the findings of the others
            _forget(module)
            if complain is not None:
                complain(f"the rules {family} failed to load: {type(error).__name__}: {error}")
    return RULES


def _forget(module: str) -> None:
    """Drop the rules that a module had registered before it failed."""
    for name in [name for name, rule in RULES.items() if rule.find.__module__ == module]:
        del RULES[name]
