"""Training an ensemble: member after member, each an ordinary run in a folder within the ensemble's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor import catalogue
from preceptor.data import Prepared
from preceptor.errors import CheckpointError, ConfigError
from preceptor.run._load import load
from preceptor.run._refusals import refuse_other_data
from preceptor.run._run import Run
from preceptor.run.examined.attend import Job
from preceptor.run.many.ensemble import Ensemble, combine
from preceptor.run.many.loading import members_of
from preceptor.run.many.members import Members
from preceptor.run.many.one_step import are_small, train_many
from preceptor.run.many.snapshots import cyclic, snapshot_members
from preceptor.training.build import Objects, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import make_feeds
from preceptor.training.manifest import origin, versions
from preceptor.training.own_code import name_of

__all__ = ["Once", "asked_members", "train_ensemble"]

Once = Callable[[Job, "RunFolder | None"], Run]
"""One training, or the completion of the one in a folder."""

_FAMILIES = {"model": "architecture", "loss": "loss", "optimizer": "optimizer", "schedule": "schedule"}
_TASKS = ("auto", "classification", "regression", "segmentation", "denoising", "reconstruction")


@dataclass(frozen=True)
class Shared:
    """What the members of an ensemble have in common."""

    job: Job
    how: Members
    feeds: Feeds
    prepared: Prepared | None
    folder: RunFolder | None

    def place(self, name: str) -> Path | bool:
        """Return the folder of a member, or False where nothing is written."""
        return self.folder.path / name if self.folder is not None else False

    def found(self, name: str) -> RunFolder | None:
        """Return the folder of a member that was begun before, or None."""
        place = self.place(name)
        there = isinstance(place, Path) and (place / "manifest.json").is_file()
        return RunFolder(place) if there and isinstance(place, Path) else None


def train_ensemble(
    job: Job, once: Once, how: Members, folder: RunFolder | None = None, *, attended: bool = False
) -> Ensemble:
    """Train the members that are not trained yet, and combine them.

    Arguments:
        job: what they have in common.
        once: trains one.
        how: how many there are, what they differ in, how they are combined.
        folder: of an ensemble that goes on.
        attended: whether the training was to be attended, which it cannot be.

    Raises:
        ConfigError: a setting or an object that the members cannot share.
        CheckpointError: the data are not those that the ensemble was begun with.
    """
    _refuse(job, how, attended=attended)
    if folder is None:
        _check(job, how)
    device = choose_device(job.experiment.training.device)
    feeds, prepared, experiment = make_feeds(job.experiment, job.inputs, device)
    inputs = replace(job.inputs, data=prepared.dataset, val=None, test=None) if prepared else job.inputs
    job = replace(job, experiment=experiment, inputs=inputs)
    if folder is not None:
        refuse_other_data(folder, feeds.data)
    elif job.out is not False:
        folder = _begin(job, how, feeds, prepared)
    with folder.held("training") if folder is not None else nullcontext():
        return _trained(Shared(job, how, feeds, prepared, folder), once)


def _trained(shared: Shared, once: Once) -> Ensemble:
    how, folder = shared.how, shared.folder
    if folder is not None:
        folder.update_manifest(status="running")
    try:
        if how.snapshots:
            runs, training, ended = snapshot_members(shared, once)
            for run in runs if how.tell else ():
                (how.tell or _nothing)(run)
        else:
            runs, ended = _independent(shared, once)
            training = None
    except BaseException as error:
        if folder is not None:
            _give_up(folder, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    return _combined(shared, runs, training, ended)


def _give_up(folder: RunFolder, ended: str) -> None:
    """Note how an ensemble ended; one of which no member was begun leaves nothing behind."""
    if any(folder.path.glob("*/manifest.json")):
        folder.update_manifest(status=ended)
    else:
        shutil.rmtree(folder.path)


def _independent(shared: Shared, once: Once) -> tuple[list[Run], str]:
    """Train each member that is not trained yet; stop where one is interrupted."""
    how = shared.how
    tell = how.tell or _nothing
    runs: dict[int, Run] = {}
    for index in range(how.count):
        left = [i for i in range(index, how.count) if shared.found(f"member-{i + 1}") is None]
        if _together(shared, runs, left):
            many, whole = train_many(shared, left, _without(shared.job.objects, how.changes(0, 0)), tell)
            runs |= many
            if not whole:
                return [runs[i] for i in sorted(runs)], "interrupted"
        if index in runs:
            continue
        runs[index] = _member(shared, index, once)
        tell(runs[index])
        if runs[index].status == "interrupted":
            break
    interrupted = len(runs) < how.count or any(run.status == "interrupted" for run in runs.values())
    return [runs[i] for i in sorted(runs)], "interrupted" if interrupted else "finished"


def _together(shared: Shared, runs: Mapping[int, Run], left: Sequence[int]) -> bool:
    """Say whether the members that are left learn in one step; one that was begun goes on by itself."""
    left = [i for i in left if i not in runs]
    if not left or shared.how.together is False:
        return False
    return shared.how.together or (bool(runs) and are_small(shared, next(iter(runs.values())), len(left)))


def _nothing(run: Run) -> None:
    """Hear of nothing."""


def _member(shared: Shared, index: int, once: Once) -> Run:
    job, name = shared.job, f"member-{index + 1}"
    changes = shared.how.changes(index, job.experiment.seed)
    before, objects = shared.found(name), _without(job.objects, changes)
    if before is not None and before.manifest["status"] not in ("running", "interrupted", "failed"):
        return load(before.path, model=objects.model, device=job.experiment.training.device)
    given = job.on_start

    def on_start(run: Run) -> Sequence[Callback]:
        _refuse_unlike(run, shared.prepared)
        return list(given(run)) if given else []

    own = replace(
        job,
        experiment=before.experiment if before else shared.how.experiment(job.experiment, index),
        objects=objects,
        chosen={*job.chosen, *changes},
        out=shared.place(name),
        on_start=on_start,
    )
    return once(own, before)


def _without(objects: Objects, changes: dict[str, Any]) -> Objects:
    """Return the blocks made in code, less those in whose place a member has one by name."""
    kinds = {key.partition(".")[0] for key in changes if key.endswith(".name")}
    none: dict[str, Any] = dict.fromkeys(kinds & set(_FAMILIES))
    return replace(objects, **none)


def _begin(job: Job, how: Members, feeds: Feeds, prepared: Prepared | None) -> RunFolder:
    """Make the ensemble's folder, with all that is known before the first member."""
    facts = {
        "status": "running",
        "chosen": sorted(job.chosen),
        "signature": {**vars(feeds.signature), "kind": "ensemble"},
        "members": how.to_plain(),
        "split": prepared.split.text if prepared else None,
        "data": dict(feeds.data) or None,
        "versions": versions(),
        "ledger": [],
        **origin(),
    }
    files = {"experiment.toml": job.experiment.to_toml(), "manifest.json": json.dumps(facts, indent=1) + "\n"}
    if prepared:
        files["preprocessing.json"] = json.dumps(prepared.preprocessor.to_state()) + "\n"
    out = job.out if isinstance(job.out, str | Path) else None
    folder = RunFolder.create(job.experiment.name, files, out=out)
    for unused in ("weights", "state"):  # members have their own
        (folder.path / unused).rmdir()
    return folder


def _combined(shared: Shared, runs: Sequence[Run], training: Run | None, ended: str) -> Ensemble:
    """Combine the members that can be used, and write down how."""
    usable = [run for run in runs if run.best_epoch is not None] or list(runs) * (ended == "interrupted")
    if not usable:
        if shared.folder is not None:
            shared.folder.update_manifest(status="diverged")
        raise CheckpointError(
            "no member of the ensemble can be used",
            expected="at least one that finished an epoch",
            received=", ".join(run.status for run in runs) or "no members",
            hint="a smaller learning rate",
        )
    ensemble = combine(
        usable,
        shared.how,
        experiment=_described(shared.job.experiment, usable[0].experiment),
        feeds=shared.feeds,
        prepared=shared.prepared,
        folder=shared.folder,
        chosen=set(shared.job.chosen),
        training=training,
        ended=ended,
    )
    ensemble.finish()
    if shared.folder is not None and ended == "finished":
        shared.folder.write("experiment.toml", ensemble.experiment.to_toml())
    return ensemble


def _described(asked: Experiment, decided: Experiment) -> Experiment:
    """Return what was decided for the first member, but for what is its own."""
    return decided.changed(
        {
            "seed": asked.seed,
            "data.bag": asked.data.bag,
            "data.bag_share": asked.data.bag_share,
            "name": asked.name,
        }
    )


def _refuse(job: Job, how: Members, *, attended: bool) -> None:
    """Refuse what members cannot share: objects that are made already, and tasks that cannot be combined."""
    if attended:
        raise ConfigError(
            "an ensemble is not attended",
            expected="attend for one training, members for several",
            received="attend beside members",
            hint="attend one training first, then train members from its settings",
        )
    if job.experiment.task not in _TASKS:
        raise ConfigError(
            f"members of the task {job.experiment.task} cannot be combined",
            expected=", ".join(_TASKS[1:]),
            received=job.experiment.task,
        )
    made = {"model": nn.Module, "optimizer": Optimizer, "schedule": LRScheduler}
    for kind, cls in made.items():
        given = getattr(job.objects, kind)
        if isinstance(given, cls) and not (how.snapshots and kind == "model"):
            raise ConfigError(
                f"an ensemble trains several times, each time with a new {kind}",
                expected=f"the {kind}'s name, its class, or a function that makes it",
                received=name_of(given),
            )


def _refuse_unlike(run: Run, prepared: Prepared | None) -> None:
    """Refuse, before its first step, a member whose inputs are prepared otherwise."""
    if prepared is None or run.preprocessor is None:
        return
    if json.dumps(run.preprocessor.to_state()) != json.dumps(prepared.preprocessor.to_state()):
        raise ConfigError(
            "the members' inputs are prepared differently, so that they cannot predict together",
            expected="one scaling and one image size for all members",
            received=f"others for a member with the model {run.experiment.model.name}",
            hint="--set data.scale=standard, or models of one source",
        )


def _check(job: Job, how: Members) -> None:
    """Check the settings of all members before the first one is trained.

    Raises:
        UnknownName: a block that the catalogue does not hold.
        ConfigError: a setting that there is not, or cycles that do not fit the epochs.
    """
    if how.snapshots:
        cyclic(job, how.count)
    for index in range(how.count if how.vary else 0):
        experiment = how.experiment(job.experiment, index)
        for kind, family in _FAMILIES.items():
            name = getattr(experiment, kind).name
            if name != "auto" and ":" not in name:
                catalogue.entry(name, family)


def asked_members(members: int | Members | None, folder: RunFolder | None) -> Members | None:
    """Return what makes an ensemble, as asked for or as begun in the folder; None for one run.

    Raises:
        ConfigError: members are asked for where a single run goes on, or others than it was begun with.
    """
    asked = Members(members) if isinstance(members, int) else members
    begun = members_of(folder) if folder is not None else None
    if folder is None or asked is None or asked == begun:
        return begun or asked
    raise ConfigError(
        "what an ensemble is made of cannot change when it goes on",
        expected="the members that it was begun with" if begun else "a single run, as it was begun",
        received=f"{asked}",
        hint="begin a new one",
    )
