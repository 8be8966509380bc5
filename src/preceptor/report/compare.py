"""Runs side by side: which settings differ, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preceptor.training import RunFolder

__all__ = ["Comparison", "compare"]

_MACHINE = frozenset({"name", "training.device", "training.checkpoint_seconds", "training.checkpoint_steps"})


class Comparison:
    """The settings in which runs differ, and their results at the best epoch.

    Attributes:
        runs: the runs' names.
        settings: dotted key → one value a run, where they differ.
        metrics: history key → one value a run, at each run's own best epoch.
        notes: what makes the comparison weaker than it looks.
    """

    def __init__(
        self,
        runs: Sequence[str],
        settings: Mapping[str, tuple[Any, ...]],
        metrics: Mapping[str, tuple[Any, ...]],
        notes: Sequence[str],
    ) -> None:
        self.runs, self.settings, self.metrics, self.notes = (
            list(runs),
            dict(settings),
            dict(metrics),
            list(notes),
        )


def compare(folders: Sequence[RunFolder]) -> Comparison:
    """Compare runs by their folders."""
    flats = [folder.experiment.flat() for folder in folders]
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    absent = "–"
    values = {key: tuple(flat.get(key, absent) for flat in flats) for key in keys if key not in _MACHINE}
    settings = {key: given for key, given in values.items() if len(set(map(repr, given))) > 1}
    bests = [_best(folder) for folder in folders]
    names = list(dict.fromkeys(key for best in bests for key in best if key not in ("seconds", "lr")))
    metrics = {name: tuple(best.get(name) for best in bests) for name in names}
    tests = [_last_test(folder) for folder in folders]
    for name in dict.fromkeys(key for test in tests for key in test):
        metrics[f"test_{name}"] = tuple(test.get(name) for test in tests)
    return Comparison([str(f.path) for f in folders], settings, metrics, list(_notes(folders, settings)))


def _best(folder: RunFolder) -> dict[str, Any]:
    epoch = folder.manifest.get("best_epoch")
    return {} if epoch is None else folder.history[epoch - 1]


def _last_test(folder: RunFolder) -> dict[str, Any]:
    ledger = folder.manifest["ledger"]
    return {**ledger[-1]["metrics"], "looks": len(ledger)} if ledger else {}


def _notes(folders: Sequence[RunFolder], settings: Mapping[str, Any]) -> list[str]:
    notes = []
    if len({str((f.manifest.get("data") or {}).get("split")) for f in folders}) > 1:
        notes.append("the runs did not see the same examples in the same split: their figures do not compare")
    if "augmentations" in settings:
        notes.append("the runs were augmented differently: nets compare only under the same augmentation")
    if len(settings) > 1:
        notes.append(f"{len(settings)} settings differ: which one made the difference cannot be told")
    return notes
