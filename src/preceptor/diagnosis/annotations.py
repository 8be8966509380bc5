"""Findings as annotations of GitHub Actions: lines that show up at the place in the program."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from preceptor.diagnosis.baseline import key_of
from preceptor.diagnosis.finding import Finding

__all__ = ["annotation_lines"]

_COMMANDS = {"critical": "error", "warning": "warning", "info": "notice"}


def annotation_lines(
    findings: Sequence[Finding],
    *,
    known: Collection[str] = (),
    program: str = "",
    locate: Callable[[str], str] = lambda file: file,
) -> list[str]:
    """Return a workflow command for each finding that is not known.

    Arguments:
        findings: best guess first.
        known: keys of findings that are known already; they are left out.
        program: the file where a finding without a line is shown.
        locate: turns a file's bare name into its path, relative to where the repository begins.

    Example:
        >>> found = Finding("missing-backward", "critical", "No gradient: 100% lost.", where="train.py:12")
        >>> annotation_lines([found])[0].partition("%0A")[0]
        '::error file=train.py,line=12,title=missing-backward::No gradient: 100%25 lost.'

    Source: GitHub, Workflow commands for GitHub Actions.
    """
    return [_annotation(one, program, locate) for one in findings if key_of(one) not in known]


def _annotation(finding: Finding, program: str, locate: Callable[[str], str]) -> str:
    file, _, line = finding.where.rpartition(":")
    if not (file and line.isdecimal()):
        file, line = program, "1"
    place = {"file": locate(file).replace("\\", "/"), "line": line} if file else {}
    given = {**place, "title": finding.cause}
    properties = ",".join(f"{name}={_property(text)}" for name, text in given.items())
    message = "\n".join(part for part in (finding.title, f"Remedy: {finding.remedy}.") if part)
    return f"::{_COMMANDS[finding.severity]} {properties}::{_data(message)}"


def _data(text: str) -> str:
    """Escape a message: it must not end its line, or begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
