"""What a check is, and the list of all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from preceptor.data import generators
from preceptor.errors import PreceptorError, UnknownName
from preceptor.recipe.result import Result, Status
from preceptor.recipe.subject import Subject

__all__ = ["CHECKS", "Check", "Found", "check", "failed", "passed", "run_checks", "skipped"]


@dataclass(frozen=True)
class Found:
    """What a check saw: whether it passed, in a few words, with its numbers."""

    status: Status
    text: str
    evidence: Mapping[str, Any]
    remedy: str = ""
    stops: bool | None = None


def passed(text: str, **evidence: Any) -> Found:
    """Return that all is well."""
    return Found("passed", text, evidence)


def failed(text: str, remedy: str = "", *, stops: bool | None = None, **evidence: Any) -> Found:
    """Return that something is wrong; remedy and ``stops`` where they are others than the check's own."""
    return Found("failed", text, evidence, remedy, stops)


def skipped(text: str, **evidence: Any) -> Found:
    """Return that it cannot be decided, and why."""
    return Found("skipped", text, evidence)


@dataclass(frozen=True)
class Check:
    """One check before training.

    Attributes:
        name: of the check.
        decides: what it is about, in a sentence.
        remedy: what to do where it fails.
        source: where it is described.
        look: does it.
        stops: whether a training that fails it is not worth its time.
        gate: whether it is among those that `preceptor train --check` does.
    """

    name: str
    decides: str
    remedy: str
    source: str
    look: Callable[[Subject], Found]
    stops: bool
    gate: bool

    def __call__(self, subject: Subject) -> Result:
        """Look at a subject; random generators are left as they were."""
        started = perf_counter()
        with generators.seeded(subject.seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a loss warns of is said here, once
            found = self._looked(subject)
        return Result(
            check=self.name,
            status=found.status,
            text=found.text,
            evidence=dict(found.evidence),
            remedy=(found.remedy or self.remedy) if found.status == "failed" else "",
            decides=self.decides,
            source=self.source,
            stops=self.stops if found.stops is None else found.stops,
            seconds=perf_counter() - started,
        )

    def _looked(self, subject: Subject) -> Found:
        try:
            return self.look(subject)
        except PreceptorError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a network's own code raises on other batches
            text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return skipped(f"{self.name.replace('-', ' ')} not checked: {text[:140]}", error=text)


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they are done."""


def check(
    name: str, *, decides: str, remedy: str, source: str, stops: bool = False, gate: bool = True
) -> Callable[[Callable[[Subject], Found]], Callable[[Subject], Found]]:
    """Enter a function of a subject into `CHECKS`."""

    def enter(look: Callable[[Subject], Found]) -> Callable[[Subject], Found]:
        CHECKS[name] = Check(name, decides, remedy, source, look, stops, gate)
        return look

    return enter


def run_checks(
    subject: Subject,
    *,
    only: tuple[str, ...] | None = None,
    gate: bool = False,
    tell: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Do the checks one after the other.

    Arguments:
        subject: what is checked.
        only: names of checks; default: all.
        gate: only those that decide whether a training can work.
        tell: hears of each result.

    Raises:
        UnknownName: there is no such check.
        ModelError: the model cannot take the inputs at all.

    Example:
        >>> import torch
        >>> subject = Subject(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(),
        ...                   torch.randn(40, 4), torch.arange(40) % 3)
        >>> print(run_checks(subject, only=("one-sample",))[0].status)
        passed
    """
    for name in only or ():
        if name not in CHECKS:
            raise UnknownName("check", name, CHECKS)
    chosen = [c for c in CHECKS.values() if (c.name in only if only else c.gate or not gate)]
    results = []
    _ = subject.outputs  # says so where the model cannot take the inputs
    for one in chosen:
        results.append(one(subject))
        if tell is not None:
            tell(results[-1])
    return results
