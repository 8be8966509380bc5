"""`script`: a finished run as a plain PyTorch program."""

from __future__ import annotations

from pathlib import Path

from preceptor.data import generators
from preceptor.errors import ConfigError
from preceptor.run._load import own_model_needed
from preceptor.run._refusals import refuse_other_data
from preceptor.run.many.loading import members_of
from preceptor.training.build import Objects, build, choose_device
from preceptor.training.eject import eject
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.own_code import is_own_code

__all__ = ["script"]


def script(folder: Path | str) -> str:
    """Return a run as the text of a plain PyTorch script, which ends with the same weights.

    Arguments:
        folder: the run's folder; its data must still be where they were.

    Raises:
        ConfigError: something in the run has no plain form.
        CheckpointError: there is no run in that folder, or its data have changed.
    """
    run_folder = RunFolder(folder)
    if members_of(run_folder) is not None:
        raise ConfigError(
            "an ensemble has no plain form",
            expected="one of its members",
            received=str(folder),
            hint=f"preceptor eject {run_folder.path / 'member-1'}",
        )
    experiment = run_folder.experiment
    if is_own_code(experiment.model.name):
        raise own_model_needed(experiment.model.name)
    device = choose_device(experiment.training.device)
    feeds, prepared, _ = make_feeds(experiment, Inputs(experiment.data.source), device)
    refuse_other_data(run_folder, feeds.data)
    with generators.seeded(experiment.seed):
        problem, experiment = build(experiment, feeds, Objects(), device)
    return eject(experiment, problem, feeds, prepared)
