"""`load`: a run from its folder, with the weights of its best epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from preceptor import catalogue, tasks
from preceptor.data import Preprocessor
from preceptor.data.text import TextCoder, coder_from_json
from preceptor.errors import CheckpointError, ConfigError
from preceptor.run._fitted import restored
from preceptor.run._run import Run
from preceptor.run.apart.episode_run import holds_episodes, load_episodes
from preceptor.run.apart.structure import holds_structure, load_structure
from preceptor.run.examined.audit import saved_audit
from preceptor.run.examined.shift import saved_reference
from preceptor.training.augmentation import for_prediction
from preceptor.training.build import Objects, choose_device
from preceptor.training.carry import Carried, goes_on
from preceptor.training.dense import on_a_grid
from preceptor.training.evaluate import evaluation
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Signature
from preceptor.training.folder import RunFolder
from preceptor.training.own_code import is_own_code, make_model
from preceptor.training.problem import Predictor
from preceptor.training.regularization import attach
from preceptor.training.tiling import Tiling
from preceptor.untrusted import refuse_pickle, understood

__all__ = ["load", "own_model_needed", "stored_coder"]


def load(folder: Path | str, model: nn.Module | Any = None, device: str = "auto") -> Run:
    """Load a run from its folder, with the weights of its best epoch.

    Arguments:
        folder: the run's folder.
        model: the model, or what makes it, where the run trained a user's own.
        device: where to put it.

    Raises:
        CheckpointError: no run, or damaged files.
        ConfigError: the run's model is the user's own code and ``model`` was not given.
        DataError: a file of pickled objects, which is never read.
    """
    if Path(folder).is_file():
        refuse_pickle(Path(folder))
    if model is not None:  # what their own code raises is theirs
        return _loaded(folder, model, device)
    with understood(folder, "a run's folder, as a training leaves it", CheckpointError):
        return _loaded(folder, model, device)


def _loaded(folder: Path | str, model: nn.Module | Any, device: str) -> Run:
    run_folder = RunFolder(folder)
    manifest, experiment = run_folder.manifest, run_folder.experiment
    recorded = manifest["signature"]
    if recorded.get("kind") == "ensemble":
        from preceptor.run.many.loading import load_ensemble  # members are loaded by this very function

        return load_ensemble(run_folder, model, lambda folder, own: load(folder, own, device))
    if holds_episodes(run_folder):
        return load_episodes(folder)  # type: ignore[return-value]  # runs of another kind, loaded all the same
    if holds_structure(run_folder):
        return load_structure(folder)  # type: ignore[return-value]  # runs of another kind, loaded all the same
    if recorded.get("kind") == "embedding":
        raise ConfigError(
            "this run holds word vectors, not a network",
            expected="preceptor.run.load_embedding(folder) in Python",
            received=str(folder),
            hint=f"preceptor neighbours {folder} WORD",
        )
    shape = recorded["input_shape"]
    signature = Signature(
        None if shape is None else tuple(shape),
        recorded["target_kind"],
        tuple(recorded["classes"]),
        recorded["dims"],
    )
    preprocessor = None
    if (run_folder.path / "preprocessing.json").exists():
        preprocessor = Preprocessor.from_state(run_folder.preprocessing)
    coder = stored_coder(run_folder) if signature.target_kind == "next-symbols" else None
    where = choose_device(device)
    predictor = predictor_from(experiment, signature, preprocessor, Objects(model=model), where)
    try:
        predictor.model.load_state_dict(run_folder.weights())
    except RuntimeError as error:
        raise CheckpointError("the weights do not fit the model", received=str(error)) from error
    predictor.task = restored(predictor.task, manifest.get("fitted"))
    return Run(
        experiment=experiment,
        predictor=predictor,
        folder=run_folder,
        chosen=set(manifest["chosen"]),
        preprocessor=preprocessor,
        recorded=run_folder.history,
        changes=run_folder.changes,
        audit=saved_audit(run_folder),
        reference=saved_reference(run_folder),
        coder=coder,
        samples=run_folder.samples,
    )


def stored_coder(folder: RunFolder | Path) -> TextCoder | None:
    """Return the vocabulary of a run on a text; None where it has none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = (folder.path if isinstance(folder, RunFolder) else folder) / "vocabulary.json"
    if not path.is_file():
        return None
    with understood(path, "a stored vocabulary", CheckpointError):
        return coder_from_json(dict(json.loads(RunFolder(path.parent).text(path.name))))


def own_model_needed(name: str) -> ConfigError:
    """Return the error for a run whose model is the user's own code: it is run only when they say so."""
    return ConfigError(
        f"this run's model is your own code, {name}",
        expected="leave to run that code, or the model itself",
        received="neither",
        hint=f"--model {name} on the command line, model=… in Python",
    )


def predictor_from(
    experiment: Experiment,
    signature: Signature,
    preprocessor: Preprocessor | None,
    objects: Objects,
    device: torch.device,
) -> Predictor:
    named_loss = ":" not in experiment.loss.name
    task = tasks.make(
        experiment.task,
        target_kind=signature.target_kind,
        classes=signature.classes,
        dims=signature.dims,
        loss=experiment.loss.name if named_loss else None,
        preprocessor=preprocessor,
        metrics=experiment.metrics,
    ).told(experiment.data)
    pipeline, placed = for_prediction(experiment)
    shape = signature.input_shape
    if pipeline is not None and shape is not None:
        shape = pipeline.shape(shape)
    if objects.model is not None:
        model = make_model(objects.model, experiment.model.options)
    elif is_own_code(experiment.model.name):
        raise own_model_needed(experiment.model.name)
    else:
        entry = catalogue.entry(experiment.model.name, "architecture")
        fetched = {"pretrained": False} if ":" in entry.name else {}  # the weights are the run's own
        model = entry.build(shape, task.outputs, **{**experiment.model.options, **fetched})
    attach(model, placed)
    criterion = catalogue.get(task.loss, kind="loss", **(experiment.loss.options if named_loss else {}))
    return Predictor(
        model=model.to(device),
        task=task,
        criterion=criterion,
        precision="fp32" if experiment.training.precision == "auto" else experiment.training.precision,
        device=device,
        augment=pipeline,
        tiling=_tiling(model, signature),
        carried=Carried() if signature.target_kind == "next-symbols" and goes_on(model) else None,
    )


def _tiling(model: nn.Module, signature: Signature) -> Tiling | None:
    """Find out whether the outputs are smaller than the inputs, where they belong to places."""
    shape = signature.input_shape
    if shape is None or not on_a_grid(signature.target_kind, shape):
        return None
    x = torch.zeros(1, *shape, device=next(model.parameters()).device)
    with evaluation(model):
        return Tiling.of(x, model(x))
