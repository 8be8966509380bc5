"""A training from an earlier run: which run, and what is taken over where nothing else is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.errors import ConfigError
from preceptor.run._load import own_model_needed
from preceptor.run._run import Run
from preceptor.training.build import Objects
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.own_code import is_own_code
from preceptor.training.source import Source, going_on, open_source

__all__ = ["source_for", "taking_over"]


def source_for(
    given: Any, experiment: Experiment, folder: RunFolder | None, chosen: Mapping[str, Any]
) -> Source | None:
    """Return the run that a training starts from; None where it starts from nothing.

    Arguments:
        given: a run, its folder, or a file of weights; None: as the settings say.
        experiment: the settings.
        folder: of the run that goes on; its own checkpoint brings the weights.
        chosen: the settings that were given.

    Raises:
        ConfigError: something else was given, or a run that goes on was given another source.
        CheckpointError: there is no such run.
    """
    if folder is not None:
        if given is not None:
            raise ConfigError(
                "a run that goes on has its weights",
                expected="resume, or a run to start from",
                received="both",
                hint="leave out from_ (--from) to go on",
            )
        return going_on(folder) if experiment.transfer.source else None
    if given is None:
        where = chosen.get("transfer.source", experiment.transfer.source)
        return None if where in (None, "none") else open_source(str(where))
    if isinstance(given, Run):
        return _of_run(given)
    if isinstance(given, str | Path):
        return open_source(given)
    raise ConfigError(
        "there is nothing to start from",
        expected="a run, a run's folder, or a .safetensors file",
        received=f"{type(given).__name__}: {given!r:.60}",
        hint="a model of your own that is trained already is given as the model itself",
    )


def _of_run(run: Run) -> Source:
    return Source(
        str(run.folder.path) if run.folder else run.experiment.name,
        {name: value.detach().clone() for name, value in run.model.state_dict().items()},
        run.experiment,
        run.preprocessor,
        tuple(getattr(run.task, "classes", ())),
        len(run.prepared.split.train) if run.prepared else None,
        run.feeds.data if run.feeds else {},
    )


def taking_over(
    source: Source, experiment: Experiment, keys: Collection[str], objects: Objects, data: Any
) -> tuple[Experiment, dict[str, Any]]:
    """Return the settings with the source's model and image size, unless others are asked for.

    Arguments:
        source: the earlier run.
        experiment: the settings so far.
        keys: the settings that were given.
        objects: the blocks that were made in code.
        data: as given.

    Raises:
        ConfigError: the source's model is the user's own code, or not known, and none was given.
    """
    taken: dict[str, Any] = {"transfer.source": source.name}
    settings = source.experiment
    if objects.model is None and "model.name" not in keys and experiment.model.name == "auto":
        if settings is None:
            raise ConfigError(
                "a file of weights does not say which model they belong to",
                expected="the model's name or the model, or a run folder",
                received=source.name,
                hint="--model on the command line, model=… in Python",
            )
        if is_own_code(settings.model.name):
            raise own_model_needed(settings.model.name)
        options = {k: v for k, v in settings.model.options.items() if k not in ("init", "pretrained")}
        experiment = experiment.changed(
            {"model.name": settings.model.name, **{f"model.{key}": value for key, value in options.items()}}
        )
    own = isinstance(data, DataLoader | TorchDataset) and not isinstance(data, TensorDataset)
    inputs = experiment.transfer.inputs == "source"
    if source.image_size is not None and inputs and not own and experiment.data.image_size == "auto":
        taken["data.image_size"] = list(source.image_size)
        if settings is not None:
            taken["data.image_fit"] = settings.data.image_fit
    return experiment, taken
