"""What a training keeps in its folder while it goes on, beside its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any

from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.state import State

__all__ = ["KeepHistory", "Reopen", "measured_before"]

_FIXED = ("experiment.toml", "preprocessing.json", "vocabulary.json", "audit.json", "checks.json")
_HISTORY_SECONDS = 1.0  # between two writings of the history
_PROGRESS_SECONDS = 2.0


class Reopen(Callback):
    """Notes in its folder that a run goes on; by then the checkpoint has been found to fit."""

    order = -100

    def __init__(self, folder: RunFolder, experiment: Experiment, chosen: set[str]) -> None:
        self.folder, self.experiment, self.chosen = folder, experiment, chosen

    def on_train_begin(self, state: State) -> None:
        """Write what has changed."""
        text = self.experiment.to_toml()
        if self.folder.text("experiment.toml") != text:
            self.folder.write("experiment.toml", text)
        facts: dict[str, Any] = {"status": "running", "chosen": sorted(self.chosen)}
        speed, before = state.problem.speed, self.folder.manifest.get("speed")
        if speed is not None and (
            not before or replace(speed, **measured_before(before)).to_plain() != before
        ):
            facts["speed"] = speed.to_plain()  # other than at first: another device, or no compiler
        self.folder.unseal(*_FIXED, **facts)


def measured_before(speed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of how the speed was measured."""
    return {key: speed[key] for key in ("measured", "reason")}


class KeepHistory(Callback):
    """Writes history and progress while training goes on, now and then, for whoever looks into the folder."""

    order = 50

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self._written = folder, monotonic()
        self._noted = self._begun = monotonic()
        self._first = 0

    def on_train_begin(self, state: State) -> None:
        """Take the time."""
        self._begun, self._first = monotonic(), _done(state)

    def on_batch_end(self, state: State) -> None:
        """Note how far it is, every few seconds."""
        if monotonic() - self._noted > _PROGRESS_SECONDS:
            self._noted = monotonic()
            self._note(state)

    def _note(self, state: State) -> None:
        """Write how far it is: for onlookers alone, so it need not survive a crash."""
        done, total = _done(state), state.epochs * len(state.problem.train)
        rate = (done - self._first) / max(monotonic() - self._begun, 1e-9)
        facts = {
            "epoch": min(state.epoch + 1, state.epochs),
            "epochs": state.epochs,
            "batch": state.batch,
            "batches": len(state.problem.train),
            "batches_per_second": rate,
            "seconds_left": (total - done) / rate if rate else None,
        }
        place = self.folder.progress_file
        with suppress(OSError):  # a full disk shows where something is to be kept
            place.with_suffix(".tmp").write_text(json.dumps(facts), encoding="utf-8")
            place.with_suffix(".tmp").replace(place)

    def on_train_end(self, state: State) -> None:
        """Take the note away: it is over."""
        self.folder.progress_file.unlink(missing_ok=True)

    def on_exception(self, state: State) -> None:
        """Take the note away."""
        self.on_train_end(state)

    def on_epoch_end(self, state: State) -> None:
        """Write it, unless that was just done."""
        if monotonic() - self._written > _HISTORY_SECONDS:
            self.folder.write("history.csv", state.history.to_csv())
            self._written = monotonic()


def _done(state: State) -> int:
    return state.epoch * len(state.problem.train) + state.batch
