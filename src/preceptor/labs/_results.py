"""Running labs, and what is kept of it: verdicts, numbers, the figure, and which verdicts have flipped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preceptor.data.generators import seeded
from preceptor.errors import ConfigError, DataError
from preceptor.files import write_json
from preceptor.labs._checks import Verdict, verdict
from preceptor.labs._lab import Evidence, Lab, Setup

__all__ = ["Result", "flipped", "keep", "perform", "read_results"]


@dataclass(frozen=True)
class Result:
    """A lab that was run.

    Attributes:
        lab: which.
        setup: how it was run.
        evidence: what it found.
        verdicts: by claim, confirmed, refuted or inconclusive.
        seconds: how long it took.
    """

    lab: Lab
    setup: Setup
    evidence: Evidence
    verdicts: Mapping[str, Verdict]
    seconds: float

    def to_plain(self) -> dict[str, Any]:
        """Return it as it is kept in a file."""
        claims = {
            name: {
                "verdict": self.verdicts[name],
                "checks": [str(check) for check in self.evidence.checks[name]],
            }
            for name in self.lab.claims
        }
        return {
            "lab": self.lab.name,
            "chapter": self.lab.chapter,
            "seed": self.setup.seed,
            "full": self.setup.full,
            "seconds": round(self.seconds, 2),
            "claims": claims,
            "table": [{key: _plain(value) for key, value in row.items()} for row in self.evidence.table],
            "note": self.evidence.note,
            "figure": self.evidence.figure.text() if self.evidence.figure is not None else "",
        }

    def __str__(self) -> str:
        lines = []
        for name, claim in self.lab.claims.items():
            lines += [f"{self.verdicts[name]:<13} {name}: {claim.text}"]
            lines += [f"  {check}" for check in self.evidence.checks[name]]
        return "\n".join(lines)


def perform(lab: Lab, setup: Setup | None = None) -> Result:
    """Run a lab; every random generator and torch's number type are as before when it is over.

    Raises:
        ConfigError: it says nothing of one of its claims, or of a claim that it has not.

    Example:
        >>> from preceptor.labs import find
        >>> perform(find("log-likelihood")).verdicts
        {'log-likelihood': 'confirmed'}
    """
    setup = setup or Setup()
    kind, began = torch.get_default_dtype(), time.perf_counter()
    with seeded(setup.seed):
        try:
            evidence = lab.run(setup)
        finally:
            torch.set_default_dtype(kind)
    if set(evidence.checks) != set(lab.claims):
        raise ConfigError(
            f"the lab {lab.name} does not decide what it claims",
            expected=f"checks for {', '.join(lab.claims)}",
            received=", ".join(evidence.checks) or "none",
        )
    verdicts = {name: verdict(evidence.checks[name]) for name in lab.claims}
    return Result(lab, setup, evidence, verdicts, time.perf_counter() - began)


def keep(result: Result, folder: Path) -> None:
    """Write a result and its figure into a folder, NAME.json and NAME.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{result.lab.name}.json", result.to_plain())
    if result.evidence.figure is not None:
        result.evidence.figure.save(folder / f"{result.lab.name}.svg")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results that a folder holds, by the lab's name; none where there is no such folder.

    Raises:
        DataError: a file there is no JSON.
    """
    found = {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}
    return {name: plain for name, plain in found.items() if isinstance(plain, dict) and "claims" in plain}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read",
            expected="the result of a lab, as JSON",
            received=str(error),
            hint="delete it, and run the lab again",
        ) from error


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def flipped(
    before: Mapping[str, Mapping[str, Any]], after: Iterable[Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    """Return the claims whose verdict is another one than before: name, before, after.

    Example:
        >>> old = {"x": {"claims": {"a": {"verdict": "confirmed"}}}}
        >>> flipped(old, [{"lab": "x", "claims": {"a": {"verdict": "refuted"}}}])
        [('a', 'confirmed', 'refuted')]
    """
    changes = []
    for plain in after:
        known = before.get(plain["lab"], {}).get("claims", {})
        for name, found in plain["claims"].items():
            if name in known and known[name]["verdict"] != found["verdict"]:
                changes.append((name, known[name]["verdict"], found["verdict"]))
    return changes
