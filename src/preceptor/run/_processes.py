"""A run in several processes: the first one writes, all take each step together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preceptor.training.checkpoints import Checkpoints
from preceptor.training.distribution import Distribution, join
from preceptor.training.folder import RunFolder
from preceptor.training.problem import Problem
from preceptor.training.spread import SharedCheckpoints, gather_up
from preceptor.training.state import State

if TYPE_CHECKING:
    from preceptor.run._run import Run
    from preceptor.run.examined.attend import Job

__all__ = ["Kept", "checkpoints_of", "end", "together"]

Kept = tuple["Checkpoints | None", "dict[str, Any] | None"]
"""Where snapshots go, and the one to go on from."""

_NOWHERE = Path("nowhere")


def together(
    job: Job, folder: RunFolder | None, run: Callable[[Job, RunFolder | None, Distribution | None], Run]
) -> Run:
    """Run in this process, and where torchrun started others, together with them."""
    distribution = join(job.experiment.training.device)
    if distribution is None:
        return run(job, folder, None)
    with distribution.telling():
        return run(job, folder, distribution)


def checkpoints_of(run: Run, folder: RunFolder | None, *, resumed: bool, kept: bool) -> Kept:
    """Return where a run's snapshots go, and the one that it goes on from.

    Arguments:
        run: of this process; without a folder in all processes but the first.
        folder: of a run that goes on, which all processes read.
        resumed: whether it does.
        kept: whether anything is written.
    """
    settings, problem = run.experiment.training, run.predictor
    assert isinstance(problem, Problem)  # noqa: S101 - it is about to be trained
    checkpoints, folder = None, run.folder or folder
    if run.folder is not None:
        checkpoints = Checkpoints(
            run.folder.state, seconds=settings.checkpoint_seconds, steps=settings.checkpoint_steps
        )
    if problem.distribution is not None and kept:
        path = folder.state if folder else _NOWHERE
        checkpoints = SharedCheckpoints(problem.distribution, problem, checkpoints, path)
    if checkpoints is None or not resumed or not checkpoints.exist:
        return checkpoints, None
    snapshot = checkpoints.load()
    for note in checkpoints.notes if run.folder is not None else ():
        run.note(note)
    return checkpoints, snapshot


def end(problem: Problem, state: State) -> None:
    """Give this process the whole network, where it has shared it with others."""
    if problem.distribution is not None:
        gather_up(problem, state)
