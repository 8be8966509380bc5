"""Findings in the format of code hosts: SARIF 2.1.0 (OASIS, 2020)."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from preceptor.diagnosis.baseline import key_of
from preceptor.diagnosis.cause import Cause
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding

__all__ = ["sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "warning": "warning", "info": "note"}


def sarif(
    findings: Sequence[Finding],
    *,
    version: str,
    known: Collection[str] = (),
    program: str = "",
    locate: Callable[[str], str] = lambda file: file,
) -> dict[str, Any]:
    """Return a SARIF log with one run: each cause that was found as a rule, each finding as a result.

    Arguments:
        findings: best guess first.
        version: of Preceptor.
        known: keys of findings that are known already; they are marked as suppressed.
        program: the file where a finding without a line is shown.
        locate: turns a file's bare name into its path, relative to where code hosts begin.

    Example:
        >>> log = sarif([Finding("missing-backward", "critical", "…", where="train.py:12")], version="1")
        >>> log["runs"][0]["results"][0]["level"]
        'error'
    """
    causes = list(dict.fromkeys(finding.cause for finding in findings))
    driver = {
        "name": "preceptor",
        "semanticVersion": version,
        "rules": [_rule(CAUSES[cause]) for cause in causes],
    }
    results = [_result(finding, causes.index(finding.cause), known, program, locate) for finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(cause: Cause) -> dict[str, Any]:
    parts = [cause.meaning, cause.mechanism, f"Recognised by: {cause.recognised}", f"Remedy: {cause.remedy}."]
    return {
        "id": cause.id,
        "name": "".join(word.capitalize() for word in cause.id.split("-")),
        "shortDescription": {"text": cause.meaning},
        "fullDescription": {"text": cause.mechanism or cause.meaning},
        "help": {"text": "\n\n".join(part for part in (*parts, f"Source: {cause.source}.") if part)},
        "properties": {"tags": [cause.family]},
    }


def _result(
    finding: Finding, rule: int, known: Collection[str], program: str, locate: Callable[[str], str]
) -> dict[str, Any]:
    key = key_of(finding)
    result: dict[str, Any] = {
        "ruleId": finding.cause,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "rank": round(100 * finding.confidence, 1),
        "message": {"text": " ".join(part for part in (finding.title, _sentence(finding.remedy)) if part)},
        "locations": _locations(finding, program, locate),
        "partialFingerprints": {"preceptor/v1": hashlib.sha256(key.encode()).hexdigest()[:32]},
        "properties": {
            name: _plain(value) for name, value in finding.to_plain().items() if name in _PROPERTIES and value
        },
    }
    if key in known:
        result["suppressions"] = [{"kind": "external", "justification": "known in the baseline"}]
    if known:
        result["baselineState"] = "unchanged" if key in known else "new"
    return result


_PROPERTIES = ("evidence", "confidence", "exact", "steps", "effect", "against", "consequences", "references")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite become text."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _uri(path: str) -> str:
    """Return a path as a relative reference with forward slashes; an absolute one as seen from here."""
    if Path(path).is_absolute():
        path = os.path.relpath(path)
    return quote(path.replace("\\", "/").removeprefix("./"))


def _locations(finding: Finding, program: str, locate: Callable[[str], str]) -> list[dict[str, Any]]:
    file, _, line = finding.where.rpartition(":")
    if not (file and line.isdecimal()):
        file, line = program, "1"
    location: dict[str, Any] = {}
    if file:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(locate(file))},
            "region": {"startLine": max(1, int(line))},
        }
    if finding.layers:
        location["logicalLocations"] = [{"name": name, "kind": "member"} for name in finding.layers]
    return [location] if location else []


def _sentence(remedy: str) -> str:
    return f"{remedy[:1].upper()}{remedy[1:]}." if remedy else ""
