"""Which runs a folder holds, found in moments where they are ten thousand."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["find_run", "find_runs", "latest", "members", "written"]


def find_runs(folder: Path) -> dict[str, Path]:
    """Return the run folders in a folder, and in those the members of ensembles, by their path in it.

    Nothing outside the folder is found: links are not followed.
    """
    if _is_run(folder):
        return {folder.resolve().name: folder, **members("", folder)}
    found = members("", folder)
    inner = [members(name, path) for name, path in found.items()]
    return {name: path for some in (found, *inner) for name, path in some.items()}


def find_run(folder: Path, name: str) -> Path | None:
    """Return a run of those that `find_runs` finds; None where there is none of that name.

    The name is looked up in the folder's own list: no path that somebody asks for reaches the disk.
    """
    if _is_run(folder) and name == folder.resolve().name:
        return folder
    place, parts = folder, name.split("/")
    if len(parts) > (1 if _is_run(folder) else 2):
        return None
    for part in parts:
        inner = next((path for path in _runs_in(place) if os.path.basename(path) == part), None)  # noqa: PTH119 - ten thousand runs: a path object each takes longer than the look
        if inner is None:
            return None
        place = Path(inner)
    return place


def latest(folder: Path) -> list[tuple[str, Path]]:
    """Return the runs of a folder without members of ensembles, the one that was written last first."""
    if _is_run(folder):
        return [(folder.resolve().name, folder)]
    found = sorted(_runs_in(folder), key=_touched, reverse=True)
    return [(path.name, path) for path in map(Path, found)]


def members(name: str, folder: Path) -> dict[str, Path]:
    """Return the runs right within a folder, by their name behind that of the folder."""
    front = f"{name}/" if name else ""
    return {f"{front}{path.name}": path for path in map(Path, sorted(_runs_in(folder)))}


def written(*files: Path | str) -> float:
    """Return when the last of some files was written, in seconds since 1970; 0 where none is there."""
    return max(map(_modified, files), default=0.0)


# Of ten thousand runs each call to the system and each path that is made counts: plain texts, few calls.


def _touched(run: str) -> float:
    return written(f"{run}/manifest.json", f"{run}/history.csv", f"{run}/state")


def _modified(file: Path | str) -> float:
    try:
        return os.stat(file).st_mtime  # noqa: PTH116 - ten thousand runs: a path object each takes longer than the look
    except OSError:
        return 0.0


def _runs_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            inner = [e.path for e in entries if e.name[:1] != "." and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [path for path in inner if _is_run(path)]


def _is_run(folder: Path | str) -> bool:
    return os.path.isfile(f"{folder}/manifest.json")  # noqa: PTH113 - ten thousand runs: a path object each takes longer than the look
