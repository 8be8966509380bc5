"""An exact finding about one term of the loss."""

from __future__ import annotations

from typing import Any

from preceptor.diagnosis._aims import Compared
from preceptor.diagnosis.finding import Finding, Severity
from preceptor.observation.graph import Node

__all__ = ["about"]


def about(
    one: Compared,
    cause: str,
    severity: Severity,
    title: str,
    evidence: dict[str, Any],
    *,
    node: Node | None = None,
    effect: str,
    remedy: str = "",
) -> Finding:
    """Return a finding at the term's line, or at that of the operator ``node``."""
    return Finding(
        cause,
        severity,
        title,
        evidence,
        exact=True,
        where=node.where if node is not None and node.where else one.term.where,
        layers=(node.module,) if node is not None and node.module else (),
        steps=one.steps,
        effect=effect,
        remedy=remedy,
    )
