"""One trial's training: begun, or gone on with, as far as it is to go. The test examples are sealed."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from preceptor.errors import PreceptorError
from preceptor.run import Run, train
from preceptor.search.cuts import premature
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.own_code import is_own_code
from preceptor.training.state import State

__all__ = ["Given", "Work", "arguments", "perform", "perform_text", "seal"]

_FAILURES = (PreceptorError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError)
"""What settings, or a user's own code under them, may raise: that trial fails, the search goes on."""


@dataclass(frozen=True)
class Given:
    """What a caller gave in code, and text cannot hold.

    Attributes:
        data: arrays, a DataFrame, a data set, a loader; None where the experiment names a source.
        blocks: arguments of `preceptor.train`: a model, loss, optimizer, schedule, validation data.
    """

    data: Any = None
    blocks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether text holds everything, so that other processes can train."""
        return self.data is None and not self.blocks

    def fresh(self) -> dict[str, Any]:
        """Return the blocks for one training: a module is trained in place, so each gets a copy."""
        return {
            key: copy.deepcopy(block) if isinstance(block, nn.Module) else block
            for key, block in self.blocks.items()
        }


@dataclass(frozen=True)
class Work:
    """What one trial is to do.

    Attributes:
        settings: what is chosen, by dotted key.
        folder: the trial's run folder.
        objective: the history key that decides.
        until: the number of epochs at which it pauses; None: it goes to its end.
        seconds: that it may still take.
        steps: optimizer steps that it may still take.
        threads: of torch; None: as they are.
    """

    settings: Mapping[str, Any]
    folder: str
    objective: str
    until: int | None = None
    seconds: float | None = None
    steps: int | None = None
    threads: int | None = None


class _Pause(Callback):
    """Ends a training where its trial is to pause, or where the budget is used up; it can be gone on with."""

    order = 90

    def __init__(self, work: Work) -> None:
        self.work, self.reason = work, ""
        self._last = math.inf
        self._until = math.inf if work.seconds is None else monotonic() + work.seconds

    def on_train_begin(self, state: State) -> None:
        """Note where it stands."""
        self._last = math.inf if self.work.steps is None else state.step + self.work.steps
        self.on_epoch_end(state)

    def on_batch_end(self, state: State) -> None:
        """Stop where time or steps are used up."""
        if (monotonic() >= self._until or state.step >= self._last) and not state.stop:
            state.stop, self.reason = "interrupted", "budget"

    def on_epoch_end(self, state: State) -> None:
        """Pause where that was asked for."""
        if self.work.until is not None and state.epoch >= self.work.until and not state.finished:
            state.stop, self.reason = "interrupted", "paused"


def perform(work: Work, given: Given | None = None) -> dict[str, Any]:
    """Train a trial as far as it is to go, and return what came of it as plain data.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the training can be gone on with.
    """
    given = given or Given()
    if work.threads is not None:
        torch.set_num_threads(work.threads)
    pause = _Pause(work)
    try:
        run = _train(work, given, pause)
    except _FAILURES as error:
        return {"value": None, "status": "failed", "error": str(error) or type(error).__name__}
    if run.status == "interrupted" and not pause.reason:
        raise KeyboardInterrupt
    return _outcome(run, work, pause.reason)


def perform_text(work: str) -> str:
    """Do the same for a worker in another process: text goes in, text comes out."""
    return json.dumps(perform(Work(**json.loads(work))), default=str)


def _train(work: Work, given: Given, pause: _Pause) -> Run:
    folder = Path(work.folder)
    common = {**arguments(work.settings, given), "callbacks": [pause], "on_start": seal}
    if (folder / "manifest.json").is_file():
        return train(resume=folder, **common)
    return train(experiment=Experiment.of(work.settings), out=folder, **common)


def arguments(settings: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """Return what `train` is to be given beside the settings."""
    made = {**given.fresh(), "data": given.data}
    name = str(settings.get("model.name", ""))
    if is_own_code(name):  # named for this training: leave to run it
        made.setdefault("model", name)
    return made


def seal(run: Run) -> Sequence[Callback]:
    """Take the test examples away from a run before its first step: nothing is chosen by them."""
    if run.feeds is not None:
        run.feeds.test = None
    if run.prepared is not None:
        run.prepared = replace(run.prepared, test=None)
    return ()


def _outcome(run: Run, work: Work, reason: str) -> dict[str, Any]:
    assert not run.ledger, "a trial has looked at the test set"  # noqa: S101 - it is sealed
    settings, state = run.experiment.training, run.state
    best = (
        run.history.best(settings.monitor, settings.mode) if settings.restore_best else len(run.history) - 1
    )
    row = run.history[best] if best is not None and len(run.history) else {}
    measures = {k: float(v) for k, v in row.items() if k.startswith("val_") and isinstance(v, int | float)}
    value = measures.get(work.objective)
    broken = run.status == "diverged" or value is None or not math.isfinite(value)
    return {
        "value": None if broken else value,
        "measures": measures,
        "epochs": len(run.history),
        "steps": state.step if state else 0,
        "seconds": sum(float(row.get("seconds") or 0.0) for row in run.history),
        "best_epoch": None if best is None or not len(run.history) else best + 1,
        "status": reason or run.status,
        "error": "",
        "notes": list(premature(run.history)),
    }
