"""A finding: one cause, what speaks for it and against it, what it does, and what would remove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from preceptor.diagnosis.causes import CAUSES
from preceptor.errors import ConfigError, UnknownName

__all__ = ["SEVERITIES", "Finding", "Findings", "Severity"]

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True)
class Finding:
    """One cause that was found in a run.

    Arguments:
        cause: its id in `CAUSES`.
        severity: "info" (worth knowing, the run may be well), "warning", "critical" (the run is worthless).
        title: one sentence about this run: what was seen where.
        evidence: what was measured, in words as keys; numbers, texts or short lists as values.
        confidence: 0 … 1, how surely the evidence means this cause; 1 where it is exact.
        exact: whether it follows from calls, types and structure alone, without a threshold on a statistic.
        where: the user's line, as "train.py:41".
        layers: modules or parameters that are concerned.
        steps: training steps at which it was seen, the first one first.
        effect: what it does to the run.
        remedy: what to change; the cause's own where it is empty.
        against: what speaks against it, or which other cause would look the same.
        consequences: what was seen besides and follows from it.
        verification: what trying the remedy showed; None before.
        references: where the mechanism is described.

    Raises:
        UnknownName: no such cause.
        ConfigError: no such severity, or a confidence outside 0 … 1.

    Example:
        >>> Finding("missing-zero-grad", "critical", "Gradients are never cleared.", exact=True).remedy
        'call optimizer.zero_grad() in every step, before backward()'
    """

    cause: str
    severity: Severity
    title: str
    evidence: dict[str, Any] = field(default_factory=dict)
    confidence: float = 1.0
    exact: bool = False
    where: str = ""
    layers: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    effect: str = ""
    remedy: str = ""
    against: tuple[str, ...] = ()
    consequences: tuple[str, ...] = ()
    verification: dict[str, Any] | None = None
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise UnknownName("cause", self.cause, CAUSES)
        if self.severity not in SEVERITIES:
            raise ConfigError(
                "no such severity", expected=", ".join(SEVERITIES), received=repr(self.severity)
            )
        if not 0 <= self.confidence <= 1:
            raise ConfigError("confidence is a share", expected="0 … 1", received=repr(self.confidence))
        cause = CAUSES[self.cause]
        if not self.remedy:
            object.__setattr__(self, "remedy", cause.remedy)
        if not self.references and cause.source:
            object.__setattr__(self, "references", (cause.source,))

    def but(self, **changes: Any) -> Finding:
        """Return a copy with other values."""
        return replace(self, **changes)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "cause": self.cause,
            "severity": self.severity,
            "title": self.title,
            "where": self.where or None,
            "evidence": dict(self.evidence),
            "confidence": round(self.confidence, 3),
            "exact": self.exact,
            "layers": list(self.layers),
            "steps": list(self.steps),
            "effect": self.effect or None,
            "remedy": self.remedy,
            "against": list(self.against),
            "consequences": list(self.consequences),
            "verification": self.verification,
            "references": list(self.references),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Finding:
        """Return the finding that `to_plain` made a dictionary of; further keys are left out.

        Raises:
            UnknownName: no such cause.
            ConfigError: a value of another kind than `to_plain` writes.

        Example:
            >>> one = Finding("overfitting", "warning", "It rises.", steps=(3, 4), where="train.py:7")
            >>> Finding.from_plain(one.to_plain()) == one
            True
        """
        known = {f.name for f in fields(cls)}
        given = {name: value for name, value in plain.items() if name in known and value is not None}
        for name, value in given.items():
            if not _fits(name, value):
                raise ConfigError(f"{name} of a finding is of another kind", received=repr(value)[:60])
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**{**given, **lists})

    def _repr_html_(self) -> str:
        return Findings([self])._repr_html_()


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("cause", "severity", "title", "where", "effect", "remedy"), str),
    **dict.fromkeys(("evidence", "verification"), dict),
    **dict.fromkeys(("layers", "steps", "against", "consequences", "references"), (list, tuple)),
    "confidence": (int, float),
    "exact": bool,
}


def _fits(name: str, value: Any) -> bool:
    """Whether a value that was read is of the kind that this part of a finding has."""
    if not isinstance(value, _KINDS[name]):
        return False
    if isinstance(value, list | tuple):
        return all(isinstance(one, int if name == "steps" else str) for one in value)
    return True


class Findings(list[Finding]):
    """Findings, best guess first: a list that a notebook shows as more than its text.

    Example:
        >>> found = Findings([Finding("overfitting", "warning", "The validation loss rises.")])
        >>> found[0].cause, "overfitting" in found._repr_html_()
        ('overfitting', True)
    """

    def _repr_html_(self) -> str:
        from preceptor.diagnosis.notebook import findings_html

        return findings_html(self)
