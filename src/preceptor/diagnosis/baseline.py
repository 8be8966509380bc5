"""Findings that are known already: kept in a file, and recognised when they come again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from preceptor.diagnosis.finding import Finding
from preceptor.errors import StorageError

__all__ = ["key_of", "read_baseline", "write_baseline"]

_FORMAT, _VERSION = "preceptor-baseline", 1


def key_of(finding: Finding) -> str:
    """Return what a finding is recognised by: its cause, its file, and its layers where it is exact.

    Lines move as a file is edited, and which layers a statistic picks out differs from run to run: neither
    counts.

    Example:
        >>> key_of(Finding("missing-backward", "critical", "…", where="train.py:12"))
        'missing-backward · train.py'
    """
    layers = sorted(finding.layers) if finding.exact else []
    file = finding.where.rpartition(":")[0] or finding.where
    return " · ".join(part for part in (finding.cause, file, *layers) if part)


def read_baseline(path: Path) -> frozenset[str]:
    """Return the keys of the findings that a file holds.

    Raises:
        StorageError: there is no such file, or `write_baseline` did not write it.
    """
    try:
        return _keys(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(
            f"cannot read the baseline {path}",
            expected="a file that --write-baseline wrote",
            received=getattr(error, "strerror", None) or f"{type(error).__name__}: {error}",
            hint=f"--write-baseline {path}",
        ) from error


def _keys(content: Any) -> frozenset[str]:
    if content["format"] != _FORMAT or content["version"] != _VERSION:
        raise ValueError(f"format {content['format']} {content['version']}")
    return frozenset(str(row["key"]) for row in content["findings"])


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings as known ones.

    Raises:
        StorageError: the file cannot be written; one that stood there before is intact.
    """
    from preceptor.files import write_json

    rows = [{"key": key_of(finding), "title": finding.title} for finding in findings]
    write_json(path, {"format": _FORMAT, "version": _VERSION, "findings": rows})
