"""Findings as a person reads them: in a terminal, and as labelled texts for a page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from preceptor.diagnosis.finding import Finding

__all__ = ["ALARMS", "ICONS", "as_text", "counts", "details", "value"]

ICONS = {"critical": "✗", "warning": "!", "info": "·"}
"""What a finding begins with, by severity."""
ALARMS = ("critical", "warning")
"""The severities that say that something is wrong."""
_WIDTH = 110
_FEW = 8
_INDENT = " " * 13


def as_text(finding: Finding, *, known: bool = False) -> str:
    """Return a finding as lines for a terminal; one that is known already as one line.

    Example:
        >>> print(as_text(Finding("overfitting", "warning", "The validation loss rises from epoch 4 on.",
        ...                       {"lowest": 0.21, "last": 0.48}, where="train.py:12")))
        ! overfitting                      warning · train.py:12
          The validation loss rises from epoch 4 on.
          evidence   lowest 0.21; last 0.48
          remedy     stop at the best validation loss; add augmentation, weight decay or dropout, or more data
    """
    head = f"{ICONS[finding.severity]} {finding.cause:<32} {finding.severity}"
    head += f" · {finding.where}" if finding.where else ""
    if known:
        return f"{head} · known"
    lines = [head, _wrapped(finding.title, "  ", "  ")]
    lines += [_wrapped(f"{label:<9}  {text}", "  ", _INDENT) for label, text in details(finding)]
    return "\n".join(lines)


def details(finding: Finding) -> list[tuple[str, str]]:
    """Return what else there is to say of a finding: (label, text), only what is there.

    Example:
        >>> details(Finding("overfitting", "warning", "…", {"lowest at epoch": 3}, remedy="stop there"))
        [('evidence', 'lowest at epoch 3'), ('remedy', 'stop there')]
    """
    evidence = "; ".join(f"{key} {value(given)}".strip() for key, given in finding.evidence.items())
    said = [
        ("evidence", evidence),
        ("seen", _place(finding)),
        ("effect", finding.effect),
        ("remedy", finding.remedy),
        *(("tried", text) for text in _tried(finding.verification or {})),
        ("against", "; ".join(finding.against)),
        ("consequences", "; ".join(text.rstrip(".") for text in finding.consequences)),
    ]
    return [(label, text) for label, text in said if text]


def _tried(verification: Mapping[str, Any]) -> list[str]:
    """Return a line for each trial: the one that counts, then the others."""
    trials = [verification, *verification.get("others", ())] if verification else []
    return [str(trial["text"]) if "text" in trial else value(trial) for trial in trials]


def counts(findings: Iterable[Finding]) -> str:
    """Return how many findings of each severity there are, in words; those that are no alarm by name.

    Example:
        >>> counts([]), counts([Finding("overfitting", "warning", "…")])
        ('nothing wrong was found', '1 warning')
        >>> counts([Finding("memory-growth", "info", "…")])
        'nothing wrong was found; remark: memory-growth'
    """
    listed = list(findings)
    critical, warnings = (sum(one.severity == severity for one in listed) for severity in ALARMS)
    told = [f"{critical:,} critical"] if critical else []
    told += [f"{warnings:,} warning{'s' if warnings > 1 else ''}"] if warnings else []
    remarks = [one.cause for one in listed if one.severity not in ALARMS]
    said = ", ".join(told) or "nothing wrong was found"
    return said + (f"; remark{'s' if len(remarks) > 1 else ''}: {', '.join(remarks)}" if remarks else "")


def value(given: Any) -> str:
    """Return any JSON value as a short text.

    Example:
        >>> value(0.0123456), value(41234), value([1, 2.5]), value({"p": 0.5}), value(None), value(True)
        ('0.01235', '41,234', '1, 2.5', 'p 0.5', '–', 'yes')
    """
    if given is None:
        return "–"
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, int):
        return f"{given:,}"
    if isinstance(given, float):
        return f"{given:.4g}"
    if isinstance(given, Mapping):
        return ", ".join(f"{key} {value(inner)}" for key, inner in given.items())
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        return _few([value(item) for item in given])
    return str(given)


def _place(finding: Finding) -> str:
    steps = f"at step {finding.steps[0]:,}" if finding.steps else ""
    steps += f" and {len(finding.steps) - 1:,} more" if len(finding.steps) > 1 else ""
    layers = f"in {_few(finding.layers)}" if finding.layers else ""
    return " ".join(part for part in (steps, layers) if part)


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _FEW
    return ", ".join(texts[:_FEW]) + (f" and {more:,} more" if more > 0 else "")


def _wrapped(text: str, first: str, indent: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
