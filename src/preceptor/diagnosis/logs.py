"""Curves that other trainers wrote: CSV files, and folders of TensorBoard, Lightning and Ultralytics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from preceptor.diagnosis.curve import Curve
from preceptor.diagnosis.events import event_files, read_scalars
from preceptor.diagnosis.history import is_a_part, named, read_curves, shares
from preceptor.errors import DataError

__all__ = ["FILES", "curves_at", "log_at"]

FILES = ("history.csv", "metrics.csv", "results.csv")
"""Tables of curves by name: our own, Lightning's, that of Ultralytics."""

_DEEP = 3  # folders below the one that is given
_MOST = 2000  # folders that are looked into

Complain = Callable[[str], None]


def log_at(path: Path, note: Complain | None = None) -> Path | None:
    """Return the CSV file, or the folder with event files, that a path leads to; None where there is neither.

    Of a folder that holds several runs it is the newest, which is said.

    Arguments:
        path: a file, a run's folder, or a folder above it.
        note: hears which run was taken.
    """
    if path.is_file() or not path.is_dir():
        return path if path.is_file() else None
    if (own := _log_in(path)) is not None:
        return own
    found = _below(path, _DEEP, [0])
    if len(found) > 1 and note is not None:
        newest = found[0].parent if found[0].is_file() else found[0]
        note(f"{len(found)} runs lie in {path}; judged is the newest, {newest}")
    return found[0] if found else None


def _log_in(folder: Path) -> Path | None:
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    return folder if event_files(folder) or _parts(folder) else None


def _parts(folder: Path) -> list[Path]:
    """Return the folders within, of which each holds the events of one part, such as train and validation."""
    return [child for child in _children(folder) if is_a_part(child.name) and event_files(child)]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(c for c in folder.iterdir() if c.is_dir() and not c.is_symlink() and c.name[0] != ".")
    except OSError:
        return []


def _below(folder: Path, deep: int, seen: list[int]) -> list[Path]:
    """Return the logs in the folders below one, newest first."""
    found: list[Path] = []
    for child in _children(folder):
        seen[0] += 1
        if seen[0] > _MOST:
            break
        own = _log_in(child)
        found += [own] if own is not None else _below(child, deep - 1, seen) if deep > 1 else []
    return sorted(found, key=_written, reverse=True)


def _written(log: Path) -> float:
    files = [log] if log.is_file() else [f for place in (log, *_children(log)) for f in event_files(place)]
    return max((file.stat().st_mtime for file in files), default=0.0)


def curves_at(log: Path, note: Complain | None = None) -> dict[str, Curve]:
    """Return the curves of a CSV file or of a folder with event files, under the names of `CURVES`.

    Raises:
        DataError: there is no loss and no accuracy, or the file is not what it seems.
        StorageError: a file cannot be read.
    """
    if log.is_file():
        return read_curves(log)
    parts = [(f"{child.name}/", child) for child in _children(log)]
    scalars = read_scalars([("", log), *parts], note)
    return _chosen(scalars, log)


def _chosen(scalars: Mapping[str, Curve], folder: Path) -> dict[str, Curve]:
    tags = list(scalars)
    curves = {name: scalars[tags[index]] for name, index in named(tags).items()}
    if not set(curves) - {"lr"}:
        raise DataError(
            f"{str(folder)!r} has no learning curve",
            expected="a scalar for a loss or an accuracy, such as Loss/train, val_loss, epoch_accuracy",
            received="tags " + ", ".join(map(repr, tags[:20])) if tags else "no scalars",
            hint="export the curve that matters as CSV, with a header such as step,train_loss,val_loss",
        )
    return shares(curves)
