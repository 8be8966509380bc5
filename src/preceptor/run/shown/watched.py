"""What a report shows of the watch over a run, and of the run that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preceptor.diagnosis.finding import Finding
from preceptor.errors import PreceptorError
from preceptor.files import own_file
from preceptor.observation.observed import Observed
from preceptor.report.compare import compare
from preceptor.report.summary import Parent, Watched
from preceptor.training.folder import RunFolder

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["parent", "watched"]


def watched(run: Run) -> Watched | None:
    """Return what was seen and found; of a run that was loaded, what its folder has of that."""
    if run.diagnosis is not None:
        seen = run.diagnosis.watch.observed
        return Watched(seen.record, seen.graphs, tuple(run.diagnosis.findings), _find)
    if run.folder is None or not (run.folder.path / "record").is_dir():
        return None
    try:
        seen = Observed.load(run.folder.path / "record")
        found = run.folder.findings
        findings = None if found is None else tuple(Finding.from_plain(plain) for plain in found)
    except PreceptorError:  # damaged, or of a later version: the rest of the run can be shown
        return None
    return Watched(seen.record, seen.graphs, findings, _find)


def _find(file: str) -> Path | None:
    return own_file(file, "", Path.cwd())


def parent(run: Run) -> Parent | None:
    """Return the run that this one was made from, and what differs; None where it was made from none."""
    origin = (run.folder.manifest.get("from") or {}) if run.folder else {}
    if run.folder is None or not origin.get("run"):
        return None
    said = tuple(str(change.get("text", "")) for change in origin.get("changes", ()))
    # Runs are moved together: where the folder is no longer at its place, one beside this run is meant.
    place = Path(origin["run"])
    places = (place, run.folder.path.resolve().parent / place.name)
    there = next((p for p in places if (p / "manifest.json").is_file()), None)
    if there is None:
        return Parent(str(place), said, notes=(f"{place} is no longer there: nothing more can be compared",))
    try:
        found = compare([RunFolder(there), run.folder])
    except PreceptorError as error:
        return Parent(str(place), said, notes=(f"{place} cannot be compared: {error.args[0]}",))
    settings = tuple((key, *values) for key, values in found.settings.items())
    results = tuple((key, *values) for key, values in found.metrics.items())
    return Parent(str(place), said, settings, results, tuple(found.notes))
