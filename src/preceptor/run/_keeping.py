"""What a training keeps in its folder while it goes on, beside its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.state import State

__all__ = ["KeepHistory", "Reopen", "measured_before"]

_HISTORY_SECONDS = 1.0  # between two writings of the history


class Reopen(Callback):
    """Notes in its folder that a run goes on; by then the checkpoint has been found to fit."""

    order = -100

    def __init__(self, folder: RunFolder, experiment: Experiment, chosen: set[str]) -> None:
        self.folder, self.experiment, self.chosen = folder, experiment, chosen

    def on_train_begin(self, state: State) -> None:
        """Write what has changed."""
        self.folder.write("experiment.toml", self.experiment.to_toml())
        facts: dict[str, Any] = {"status": "running", "chosen": sorted(self.chosen)}
        speed, before = state.problem.speed, self.folder.manifest.get("speed")
        if speed is not None and (
            not before or replace(speed, **measured_before(before)).to_plain() != before
        ):
            facts["speed"] = speed.to_plain()  # other than at first: another device, or no compiler
        self.folder.update_manifest(**facts)


def measured_before(speed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of how the speed was measured."""
    return {key: speed[key] for key in ("measured", "reason")}


class KeepHistory(Callback):
    """Writes the history while training goes on, now and then, for whoever looks into the folder."""

    order = 50

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self._written = folder, monotonic()

    def on_epoch_end(self, state: State) -> None:
        """Write it, unless that was just done."""
        if monotonic() - self._written > _HISTORY_SECONDS:
            self.folder.write("history.csv", state.history.to_csv())
            self._written = monotonic()
