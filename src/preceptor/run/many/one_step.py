"""Members of an ensemble that learn in one step, many at a time, written down as runs of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from preceptor.run._recorded import Recorded
from preceptor.run._run import Run
from preceptor.training.build import Objects
from preceptor.training.folder import RunFolder
from preceptor.training.manifest import origin, versions
from preceptor.training.population import Member, train_members

if TYPE_CHECKING:
    from pathlib import Path

    from preceptor.run.many.training import Shared

__all__ = ["are_small", "train_many"]

_SMALL = 200_000  # parameters; of larger networks one at a time keeps a core busy
_FEWEST = 3  # members, for which it is worth to leave the ordinary way


def are_small(shared: Shared, first: Run, left: int) -> bool:
    """Say whether the other members had better learn together: many small networks, on data in memory."""
    size = sum(p.numel() for p in first.model.parameters())
    plain = shared.prepared is not None and not shared.job.callbacks
    return plain and left >= _FEWEST and size < _SMALL and first.transfer is None


def train_many(
    shared: Shared, indices: Sequence[int], objects: Objects, tell: Callable[[Run], None]
) -> tuple[dict[int, Run], bool]:
    """Train some members together; return those that ended by their index, and whether all did."""
    job, done = shared.job, {}
    changes = [shared.how.changes(index, job.experiment.seed) for index in indices]

    def ended(member: Member) -> None:
        index = indices[member.index]
        if member.stop == "interrupted" or member.error is not None:
            return
        done[index] = _run_of(member, shared, index, changes[member.index])
        tell(done[index])

    members = train_members(job.experiment, changes, data=job.inputs, objects=objects, on_end=ended)
    return done, all(member.stop != "interrupted" for member in members)


def _run_of(member: Member, shared: Shared, index: int, changes: dict[str, Any]) -> Run:
    """Return a member as a run, in a folder of its own where the ensemble has one."""
    assert member.predictor is not None  # noqa: S101 - its weights were to be kept
    chosen = {*shared.job.chosen, *changes}
    place = shared.place(f"member-{index + 1}")
    return Recorded(
        experiment=member.experiment,
        predictor=member.predictor,
        feeds=None if shared.folder else shared.feeds,
        prepared=shared.prepared,
        folder=None if isinstance(place, bool) else _written(member, shared, place, sorted(chosen)),
        chosen=chosen,
        preprocessor=shared.feeds.preprocessor,
        recorded=member.history,
        epoch=member.best_epoch,
        ended=member.status,
    )


def _written(member: Member, shared: Shared, place: Path, chosen: list[str]) -> RunFolder:
    assert member.predictor is not None  # noqa: S101 - for the type checker: members that were trained have both
    assert member.weights is not None  # noqa: S101 - for the type checker: members that were trained have both
    feeds, prepared = shared.feeds, shared.prepared
    signature = replace(feeds.signature, classes=getattr(member.predictor.task, "classes", ()))
    facts = {
        "status": "running",  # until the weights are there
        "chosen": chosen,
        "signature": vars(signature),
        "split": prepared.split.text if prepared else None,
        "data": dict(feeds.data) or None,
        "versions": versions(),
        "ledger": [],
        "best_epoch": member.best_epoch,
        "engine": {"name": member.engine, "why": member.why},
        **origin(),
    }
    files = {
        "experiment.toml": member.experiment.to_toml(),
        "manifest.json": json.dumps(facts, indent=1) + "\n",
        "history.csv": member.history.to_csv(),
    }
    if prepared:
        files["preprocessing.json"] = json.dumps(prepared.preprocessor.to_state()) + "\n"
    folder = RunFolder.create(place.name, files, out=place)
    folder.write_weights("best", member.weights)
    if member.last_weights is not None:
        folder.write_weights("last", member.last_weights)
    folder.seal(status=member.status)
    return folder
