"""The settings of a run with one change made: the remedy of one of its findings, or a change by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.errors import ConfigError, DataError
from preceptor.training.experiment import Experiment, parse_assignments
from preceptor.training.folder import RunFolder
from preceptor.trials.change import Change
from preceptor.trials.own import applied, candidates, change_to, is_setting

__all__ = ["repaired"]


def repaired(folder: Path | str, which: str) -> tuple[Experiment, list[Change]]:
    """Return a run's settings with a change made, and the change.

    Arguments:
        folder: the run's folder.
        which: the number of a finding, from 1, whose verified change is made, or, where nothing was tried,
            the first that may help; or a change itself, as ``lr=0.01``.

    Raises:
        CheckpointError: there is no run in that folder.
        DataError: there are no findings.
        ConfigError: there is no finding of that number, or no change of settings removes it.
        UnknownName: there is no such kind of change.
    """
    run = RunFolder(folder)
    experiment = run.experiment
    if "=" in which:
        ((kind, value),) = parse_assignments([which]).items()
        after = tuple(value) if isinstance(value, list) else None if value == "none" else value
        changes = [change_to(kind, after, experiment)]
    else:
        changes = _of_finding(_finding(run, which), experiment)
    for change in changes:
        experiment = applied(change, experiment)
    return experiment, changes


def _finding(run: RunFolder, which: str) -> Mapping[str, Any]:
    found = run.findings
    if not found:
        raise DataError(
            f"nothing to apply: {run.path} has no findings",
            expected="a run in which something wrong was found",
            received="a run that was not judged" if found is None else "a run with which all is well",
            hint="--apply lr=0.01 makes a change of your own",
        )
    number = int(which) if which.isdecimal() else 0
    if not 1 <= number <= len(found):
        raise ConfigError(
            "there is no such finding",
            expected=f"1 … {len(found)}, or KIND=VALUE" if len(found) > 1 else "1, or KIND=VALUE",
            received=f"--apply {which}",
            hint="; ".join(f"{i}: {one.get('cause')}" for i, one in enumerate(found, 1)),
        )
    return found[number - 1]


def _of_finding(finding: Mapping[str, Any], experiment: Experiment) -> list[Change]:
    """Return the change that was verified, or, where nothing was tried, the first that may help."""
    cause, verification = str(finding.get("cause")), finding.get("verification")
    if verification and verification.get("improved"):
        changes = [Change.from_plain(change) for change in verification["change"]]
        if all(is_setting(change) for change in changes):
            return changes
    elif verification:
        tried = [verification, *verification.get("others", ())]
        raise ConfigError(
            f"nothing that was tried removes {cause}",
            expected="a finding with a change that helped",
            received="; ".join(str(trial.get("text")) for trial in tried),
            hint="--apply KIND=VALUE makes a change of your own",
        )
    found = candidates(cause, experiment)
    if not found:
        raise ConfigError(
            f"no setting of this run removes {cause}",
            expected="a finding with a change that applies to settings",
            received=str(finding.get("title")),
            hint=str(finding.get("remedy")),
        )
    return found[:1]
