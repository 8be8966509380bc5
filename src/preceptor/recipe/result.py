"""What a check found: whether it passed, in words and numbers, and what to do where it did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["ICONS", "Checks", "Result", "Status"]

Status = Literal["passed", "failed", "skipped"]
ICONS: Mapping[Status, str] = {"passed": "✓", "failed": "!", "skipped": "·"}
"""What a line begins with."""

_WIDTH = 118


@dataclass(frozen=True)
class Result:
    """One check before training.

    Attributes:
        check: its name in `preceptor.recipe.CHECKS`.
        status: ``"passed"``, ``"failed"``, or ``"skipped"`` where it could not be decided.
        text: what was seen, in a few words.
        evidence: the numbers that it rests on.
        remedy: what to do; "" where it passed.
        decides: what the check is about.
        source: where it is described.
        stops: whether a training with this fault is not worth its time.
        seconds: what it took.

    Example:
        >>> print(Result("initial-loss", "passed", "initial loss 2.31 ≈ ln 10"))
        ✓ initial loss 2.31 ≈ ln 10
    """

    check: str
    status: Status
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    decides: str = ""
    source: str = ""
    stops: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{ICONS[self.status]} {self.text}"]
        if self.status == "failed" and self.remedy:
            lines.append(f"    remedy  {self.remedy}")
        return "\n".join(lines)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**vars(self), "evidence": dict(self.evidence)}


@dataclass(frozen=True)
class Checks(Sequence[Result]):
    """The results of all checks, and what the training is foretold to take.

    Attributes:
        results: one for each check, in order.
        time: the time of a step and of the whole training; None where it was not measured.
        memory: what the training needs at its peak; None where it was not estimated.

    Example:
        >>> checks = Checks((Result("one-sample", "passed", "one sample learnt in 18 steps"),))
        >>> checks.passed, checks["one-sample"].status, len(checks)
        (True, 'passed', 1)
    """

    results: tuple[Result, ...]
    time: Any = None
    memory: Any = None

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return next(result for result in self.results if result.check == key)
        return self.results[key]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return not self.failed

    @property
    def stopping(self) -> tuple[Result, ...]:
        """The failures with which a training is not worth its time."""
        return tuple(result for result in self.failed if result.stops)

    @property
    def seconds(self) -> float:
        """What the checks took."""
        return sum(result.seconds for result in self.results)

    def __str__(self) -> str:
        lines = [*_side_by_side([str(result) for result in self if result.status == "passed"])]
        lines += [str(result) for result in self.failed]
        lines += [str(result) for result in self if result.status == "skipped"]
        lines += [f"time    {self.time}"] if self.time is not None else []
        lines += [f"memory  {self.memory}"] if self.memory is not None else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def to_plain(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            "checks": [result.to_plain() for result in self.results],
            "time": None if self.time is None else self.time.to_plain(),
            "memory": None if self.memory is None else self.memory.to_plain(),
        }


def _side_by_side(texts: Sequence[str]) -> Iterator[str]:
    """Yield short texts, several to a line."""
    line = ""
    for text in texts:
        longer = f"{line}   {text}" if line else text
        if line and len(longer) > _WIDTH:
            yield line
            longer = text
        line = longer
    if line:
        yield line
