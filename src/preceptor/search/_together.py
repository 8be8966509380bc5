"""Trials that share an architecture, trained as members of one population."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import monotonic
from typing import Any

from preceptor.errors import ConfigError
from preceptor.search._work import Given, Work
from preceptor.search.cuts import premature
from preceptor.training.experiment import Experiment
from preceptor.training.inputs import Inputs
from preceptor.training.objects import Objects
from preceptor.training.own_code import import_model, is_own_code
from preceptor.training.population import Member, train_members

__all__ = ["perform_all"]

_OBJECTS = ("model", "loss", "optimizer", "schedule")


def perform_all(works: Sequence[Work], given: Given) -> list[dict[str, Any]]:
    """Train all trials, and return what came of each as plain data.

    Raises:
        ConfigError: a trial that is to pause, or blocks that a population cannot be given.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if any(work.until is not None for work in works):
        raise ConfigError(
            "trials that pause are not trained together",
            expected="--method random or grid",
            received="successive halving",
        )
    common = {k: v for k, v in works[0].settings.items() if all(w.settings.get(k) == v for w in works)}
    changes = [{k: v for k, v in work.settings.items() if k not in common} for work in works]
    experiment = Experiment.of(common)
    seconds = [work.seconds for work in works if work.seconds is not None]
    until = monotonic() + min(seconds, default=math.inf)
    members = train_members(
        experiment,
        changes,
        data=_inputs(experiment, given),
        objects=_objects(experiment, given),
        halt=(lambda: monotonic() >= until) if seconds else None,
        errors="keep",
        keep_weights=False,
    )
    if any(member.status == "interrupted" for member in members):
        raise KeyboardInterrupt
    return [_outcome(member, work) for member, work in zip(members, works, strict=True)]


def _inputs(experiment: Experiment, given: Given) -> Inputs:
    own = "model" in given.blocks or is_own_code(experiment.model.name)
    data = experiment.data.source if given.data is None else given.data
    return Inputs(data, given.blocks.get("val"), given.blocks.get("test"), own_model=own)


def _objects(experiment: Experiment, given: Given) -> Objects:
    fresh = given.fresh()
    other = [key for key in fresh if key not in (*_OBJECTS, "val", "test")]
    if other:
        raise ConfigError(
            "these blocks cannot be given to trials that are trained together",
            expected="regularizers and augmentations by name",
            received=", ".join(other),
        )
    objects = Objects(**{key: block for key, block in fresh.items() if key in _OBJECTS})
    if objects.model is None and is_own_code(experiment.model.name):
        objects.model = import_model(experiment.model.name)
    return objects


def _outcome(member: Member, work: Work) -> dict[str, Any]:
    row = member.history[member.best_epoch - 1] if member.best_epoch else {}
    measures = {k: float(v) for k, v in row.items() if k.startswith("val_") and isinstance(v, int | float)}
    value = measures.get(work.objective)
    broken = member.status in ("diverged", "failed") or value is None or not math.isfinite(value)
    return {
        "value": None if broken else value,
        "measures": measures,
        "epochs": len(member.history),
        "steps": member.steps,
        "seconds": member.seconds,
        "best_epoch": member.best_epoch,
        "status": "budget" if member.status == "halted" else member.status,
        "error": "" if member.error is None else str(member.error),
        "notes": list(premature(member.history)),
    }
