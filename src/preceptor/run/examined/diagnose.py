"""`diagnose`: what went wrong in a training that is watched, was kept, or left its curves."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from preceptor.diagnosis import diagnose as rules
from preceptor.diagnosis.causes import CAUSES
from preceptor.diagnosis.curves import findings_of, told_by
from preceptor.diagnosis.finding import Finding, Findings
from preceptor.diagnosis.logs import curves_at, log_at
from preceptor.diagnosis.verdict import verdicts
from preceptor.errors import DataError, UnknownName
from preceptor.files import similar
from preceptor.observation.observed import Observed
from preceptor.observation.watch import Watch

__all__ = ["diagnose"]


def diagnose(
    source: Watch | Observed | str | os.PathLike[str],
    *,
    ignore: Collection[str] = (),
    note: Callable[[str], None] | None = None,
) -> Findings:
    """Return the causes of what went wrong in a training, best guess first; empty where all is well.

    Arguments:
        source: a watch; a folder that `preceptor run --record` wrote, or a run folder; or learning curves, of
            which much less can be said: a CSV file, or a folder of TensorBoard, Lightning or Ultralytics.
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
        return Findings(rules.diagnose(source.observed, over=over, ignore=ignore, complain=note))
    if isinstance(source, Observed):
        return Findings(rules.diagnose(source, ignore=ignore, complain=note))
    path = Path(source)
    log = None if _record_in(path) else log_at(path, note)
    record = _record_in(log.parent if log and log.is_file() and path.is_dir() else path)
    if record is not None:
        return Findings(rules.diagnose(Observed.load(record), ignore=ignore, complain=note))
    if log is None:
        raise _nothing_at(path)
    return Findings(finding for finding in _of_curves(log, note) if finding.cause not in ignore)


def _record_in(path: Path) -> Path | None:
    """Return the record of a run's folder, or the folder itself where it is one."""
    return next((f for f in (path, path / "record") if (f / "record.json").is_file()), None)


def _nothing_at(path: Path) -> DataError:
    close = None if path.exists() else similar(path)
    return DataError(
        f"there is nothing to judge at {path}",
        expected="a folder of preceptor run --record, a run folder, a CSV file with learning curves, or a "
        "folder of TensorBoard, Lightning or Ultralytics",
        received="a folder without record.json, curves and event files"
        if path.is_dir()
        else "no such file or folder",
        hint=close or "preceptor run --record seen train.py, then preceptor diagnose seen",
    )


def _of_curves(log: Path, note: Callable[[str], None] | None) -> list[Finding]:
    found = verdicts(curves_at(log, note))
    if note is not None:
        for remark in told_by(found):
            note(remark)
    return findings_of(found)
