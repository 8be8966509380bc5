"""What a task sets on the validation examples once training is over: thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from preceptor.data import generators
from preceptor.tasks import Task
from preceptor.training.evaluate import outputs

if TYPE_CHECKING:
    from preceptor.run._run import Run

__all__ = ["fit_task", "restored"]


def fit_task(run: Run) -> None:
    """Let the task set on validation examples what it sets on those, and keep it in the run's manifest."""
    batches = run.feeds.val if run.feeds is not None else None
    if batches is None or type(run.task).fitted is Task.fitted or run.status == "diverged":
        return
    with generators.seeded(run.experiment.seed):  # a loader draws from them, whatever its order
        fields = run.task.fitted(*outputs(run.predictor, batches))
    run.predictor.task = restored(run.task, fields)
    if run.folder:
        run.folder.update_manifest(fitted=dict(fields))


def restored(task: Task, fields: Mapping[str, Any] | None) -> Task:
    """Return the task with what was set on validation examples."""
    return replace(task, **fields) if fields else task
