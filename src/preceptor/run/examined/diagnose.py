"""`diagnose`: what went wrong in a training that is watched, was kept, or left its curves."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from preceptor.diagnosis import diagnose as rules
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.finding import Finding
from preceptor.errors import DataError, UnknownName
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch

__all__ = ["diagnose"]


def diagnose(
    source: Watch | Observed | str | os.PathLike[str],
    *,
    ignore: Collection[str] = (),
    note: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Return the causes of what went wrong in a training, best guess first; empty where all is well.

    Arguments:
        source: a watch; a folder that `preceptor run --record` wrote, or a run folder; or a CSV file with
            learning curves, of which much less can be said.
        ignore: ids of causes that are not to be named.
        note: takes what is to be said besides: a rule that failed, what sound curves show.

    Raises:
        UnknownName: an ignored cause does not exist.
        DataError: there is nothing to judge at that place.
        StorageError: a record that is damaged, or from a later version.

    Example:
        >>> import preceptor, torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        >>> with preceptor.watch() as watch:
        ...     for _ in range(5):
        ...         optimizer.zero_grad()
        ...         torch.nn.functional.mse_loss(layer(torch.ones(4, 2)), torch.ones(4, 1)).backward()
        ...         optimizer.step()
        >>> preceptor.diagnose(watch)
        []
    """
    for cause in ignore:
        if cause not in CAUSES:
            raise UnknownName("cause", cause, CAUSES)
    if isinstance(source, Watch):
        over = not source.running
        return rules.diagnose(source.observed, over=over, ignore=ignore, complain=note)
    if isinstance(source, Observed):
        return rules.diagnose(source, ignore=ignore, complain=note)
    place = _found(Path(source))
    if place.is_dir():
        return rules.diagnose(Observed.load(place), ignore=ignore, complain=note)
    found, remarks = _of_curves(place)
    if note is not None:
        for remark in remarks:
            note(remark)
    return [finding for finding in found if finding.cause not in ignore]


def _found(path: Path) -> Path:
    """Return the folder of a record, or the file of curves, that a path leads to."""
    for folder in (path, path / "record"):
        if (folder / "record.json").is_file():
            return folder
    for file in (path, path / "history.csv"):
        if file.is_file():
            return file
    raise DataError(
        f"there is nothing to judge at {path}",
        expected="a folder of preceptor run --record, a run folder, or a CSV file with learning curves",
        received="a folder without record.json and history.csv"
        if path.is_dir()
        else "no such file or folder",
        hint="preceptor run --record seen train.py, then preceptor diagnose seen",
    )


def _of_curves(path: Path) -> tuple[list[Finding], list[str]]:
    from preceptor.diagnosis.curves import findings_of, told_by
    from preceptor.diagnosis.verdict import read_curves, verdicts

    found = verdicts(read_curves(path))
    return findings_of(found), told_by(found)
