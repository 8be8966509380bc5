"""Snapshot ensembles: the ends of the cycles of one training, each as a run of its own."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from preceptor.errors import ConfigError
from preceptor.run._recorded import Recorded
from preceptor.run._run import Run
from preceptor.run.examined.attend import Job
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.history import History
from preceptor.training.problem import Predictor
from preceptor.training.regularization import as_measured
from preceptor.training.state import State

if TYPE_CHECKING:
    from preceptor.run.many.training import Once, Shared

__all__ = ["cyclic", "snapshot_members"]

TRAINING = "training"


def cyclic(job: Job, count: int) -> Experiment:
    """Return the settings of a training in as many cycles of the learning rate: half a cosine each.

    Raises:
        ConfigError: a schedule of one's own, or epochs that the cycles do not divide.
    """
    experiment = job.experiment
    if job.objects.schedule is not None or any(key.startswith("schedule") for key in job.chosen):
        raise ConfigError(
            "snapshots are taken where the learning rate ends a cycle, and so set the schedule themselves",
            expected="no schedule",
            received=f"schedule {experiment.schedule.name!r}",
        )
    epochs = experiment.training.epochs
    if epochs % count:
        down, up = epochs - epochs % count, epochs + count - epochs % count
        raise ConfigError(
            f"{epochs} epochs do not divide into {count} cycles",
            expected=f"a multiple of {count}",
            received=f"epochs={epochs}",
            hint=f"epochs={down or up}" + (f" or {up}" if down else ""),
        )
    return experiment.changed(
        {
            "schedule.name": "cosine-restarts",
            "schedule.cycle_epochs": epochs // count,
            "training.patience": None,
        }
    )


class TakeSnapshots(Callback):
    """Keeps the weights of a run at the end of each cycle, in a folder of its own where there is one."""

    order = 40

    def __init__(self, run: Run, place: Path | None, cycle: int) -> None:
        self.run, self.place, self.cycle = run, place, cycle
        self.weights: dict[int, dict[str, Tensor]] = {}

    def on_epoch_end(self, state: State) -> None:
        """Take one, where a cycle ends."""
        if state.epoch % self.cycle:
            return
        with as_measured(state.problem):
            weights = state.weights()
        number = state.epoch // self.cycle
        self.weights[number] = weights
        if self.place is not None:
            _write(self.run, self.place / f"member-{number}", weights, state)


def _write(run: Run, place: Path, weights: dict[str, Tensor], state: State) -> None:
    """Write a snapshot as a run folder; one that was begun before the process ended is written anew."""
    assert run.folder is not None  # noqa: S101 - asked for only then
    if place.exists():
        shutil.rmtree(place)
    own = run.folder.path
    facts = {
        **run.folder.manifest,
        "status": "finished",
        "best_epoch": state.epoch,
        "snapshot": {"of": own.name, "epoch": state.epoch},
        "ledger": [],
    }
    names = [name for name in ("experiment.toml", "preprocessing.json") if (own / name).is_file()]
    files = {name: (own / name).read_text(encoding="utf-8") for name in names}
    files |= {"manifest.json": json.dumps(facts, indent=1) + "\n", "history.csv": state.history.to_csv()}
    folder = RunFolder.create(place.name, files, out=place)
    folder.write_weights("best", weights)


def snapshot_members(shared: Shared, once: Once) -> tuple[list[Run], Run, str]:
    """Train once, and return a run for each cycle that was completed, the training, and how it ended."""
    job, count = shared.job, shared.how.count
    before, given = shared.found(TRAINING), job.on_start
    experiment = before.experiment if before else cyclic(job, count)
    cycle = experiment.training.epochs // count
    place = shared.folder.path if shared.folder is not None else None
    takers: list[TakeSnapshots] = []

    def on_start(run: Run) -> Sequence[Callback]:
        takers.append(TakeSnapshots(run, place, cycle))
        added = list(given(run)) if given else []
        return [*added, *takers]

    own = replace(job, experiment=experiment, out=shared.place(TRAINING), on_start=on_start)
    training = once(own, before)
    taken = takers[0].weights
    runs = [
        _member(training, shared, number, number * cycle, taken.get(number))
        for number in range(1, len(training.history) // cycle + 1)
    ]
    return runs, training, "interrupted" if training.status == "interrupted" else "finished"


def _member(training: Run, shared: Shared, number: int, epoch: int, weights: dict[str, Tensor] | None) -> Run:
    """Return a snapshot as a run: the training's model, with the weights of that epoch."""
    folder = shared.found(f"member-{number}")
    own: Any = training.predictor
    model = copy.deepcopy(own.model)
    model.load_state_dict(weights if weights is not None or folder is None else folder.weights())
    predictor = Predictor(
        model=model,
        task=own.task,
        criterion=own.criterion,
        precision=own.precision,
        device=own.device,
        augment=own.augment,
        tiling=own.tiling,
    )
    return Recorded(
        experiment=training.experiment,
        predictor=predictor,
        feeds=training.feeds,
        prepared=training.prepared,
        folder=folder,
        chosen=training.chosen,
        recorded=History(training.history.rows[:epoch]),
        epoch=epoch,
    )
