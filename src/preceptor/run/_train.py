"""`train`: from names, objects and data to a finished `Run`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from preceptor.data import Prepared, generators
from preceptor.errors import ConfigError, DataError, StorageError
from preceptor.observation.watch import Watch
from preceptor.run._attend import Attend, Job, attended
from preceptor.run._diagnosis import Diagnosis
from preceptor.run._embedding import embed, is_embedding
from preceptor.run._keeping import KeepHistory, Reopen
from preceptor.run._load import own_model_needed
from preceptor.run._refusals import (
    fingerprints,
    refuse_contradictions,
    refuse_idle_settings,
    refuse_other_data,
    refuse_other_settings,
)
from preceptor.run._run import Run
from preceptor.run._sort import sort_blocks, sort_list
from preceptor.run._transfer import source_for, taking_over
from preceptor.training.build import build, choose_device
from preceptor.training.callbacks import Callback
from preceptor.training.checkpoints import Checkpoints
from preceptor.training.experiment import Experiment
from preceptor.training.features import FeatureBatches
from preceptor.training.feeds import Signature
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import Inputs, make_feeds
from preceptor.training.loop import fit
from preceptor.training.manifest import origin, versions
from preceptor.training.named import settings_of
from preceptor.training.own_code import import_model, is_own_code
from preceptor.training.problem import Problem
from preceptor.training.state import State

__all__ = ["train"]


def train(
    model: Any = None,
    data: Any = None,
    *,
    target: str | None = None,
    task: str | None = None,
    activation: str | None = None,
    init: str | dict[str, Any] | None = None,
    loss: Any = None,
    metrics: Sequence[str] | None = None,
    optimizer: Any = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    schedule: Any = None,
    regularizers: Any = None,
    augmentations: Any = None,
    epochs: int | None = None,
    batch_size: int | str | None = None,
    max_grad_norm: float | None = None,
    grad_accumulation: int | None = None,
    precision: str | None = None,
    val: Any = None,
    test: Any = None,
    monitor: str | None = None,
    mode: str | None = None,
    patience: int | None = None,
    min_delta: float | None = None,
    from_: Any = None,
    freeze: Any = None,
    unfreeze: Any = None,
    layer_lr_decay: float | None = None,
    seed: int | None = None,
    deterministic: bool | None = None,
    device: str | None = None,
    name: str | None = None,
    out: Path | str | bool | None = None,
    resume: bool | Path | str = False,
    settings: Mapping[str, Any] | None = None,
    experiment: Experiment | None = None,
    callbacks: Sequence[Callback] = (),
    on_start: Callable[[Run], Sequence[Callback]] | None = None,
    attend: bool | Attend = False,
) -> Run:
    """Train a network and return the run: history, best weights, and what can be done with them.

    A string, an object or a callable is accepted wherever a block is expected: ``optimizer="adam"``,
    ``optimizer=torch.optim.Adam``, ``model="mlp"``, ``model=MyNet()``, ``loss=my_function``.

    Arguments:
        model: a catalogue name, an ``nn.Module`` or what makes one; default: the simplest that suits.
        data: a built-in set's name, a file or folder, ``(x, y)``, a DataFrame, a Dataset or a DataLoader.
        target: the column to predict, where the data are a table.
        task: ``"classification"``, ``"regression"``, ``"segmentation"`` (a mask for each image),
            ``"denoising"`` or ``"reconstruction"`` (inputs are their own targets); default: by the targets.
        activation: the name of a named model's activation.
        init: the name of an initializer for a named model, or a dict of its name, its options and ``bias``.
        loss: a loss's name, or a callable of (outputs, targets) that gives their mean loss.
        metrics: what is measured, the headline measure first; default: the task's own.
        optimizer: default ``"adam"``.
        lr: the optimizer's learning rate; default: the optimizer's own.
        weight_decay: the optimizer's weight decay.
        schedule: a schedule's name, an ``LRScheduler``, or a callable that makes one from the optimizer.
        regularizers: names such as ``"l1=1e-5"`` or ``"max-norm=3"``, dicts with options, or objects; see
            ``preceptor catalogue regularizers``.
        augmentations: names, dicts or functions of a batch of inputs: at random in training, fixed otherwise.
        epochs: at most this many passes over the training examples (100).
        batch_size: examples a batch, or ``"full"``; default: 32 or 64, by the number of examples.
        max_grad_norm: clip the gradient's norm to this.
        grad_accumulation: batches to one optimizer step (1).
        precision: ``"fp32"`` (default), ``"bf16"`` or ``"fp16"``; ``"auto"`` times a few steps of this
            network in float32 and in half precision, and takes half where it is faster.
        val: share of the examples to validate on (0.15), or data of their own; 0: none.
        test: share of the examples to test on (0.15), or data of their own; 0: none.
        monitor: the history key that decides (``"val_loss"``).
        mode: ``"min"`` or ``"max"``; default: as the monitored key asks.
        patience: epochs without improvement before stopping (10).
        min_delta: what counts as an improvement (0).
        from_: an earlier run to start from, its folder or a file of its weights: model, weights and the
            scaling of inputs are taken over, the head is new where the classes are others.
        freeze: layers that do not learn, such as ``"all-but-head"``, ``"first-3"`` or ``"features.*"``.
        unfreeze: which of them learn from which epoch on, ``{5: "last-2", 10: "all"}``.
        layer_lr_decay: the factor of the learning rate from each layer to the one before it.
        seed: of weights, dropout and the order of examples (0); the caller's generators are left alone.
        deterministic: insist on deterministic kernels.
        device: ``"auto"`` (default), ``"cpu"``, ``"cuda"``, …
        name: of the run; default: the data's.
        out: the run's folder; default: the next ``runs/<name>-<n>``; False: nothing is written.
        resume: go on with the run in ``out`` (True), or in the folder given here, exactly where it was.
        settings: further settings by dotted key, such as ``{"model.hidden": [64, 64]}``.
        experiment: settings to start from, which the other arguments override.
        callbacks: see `preceptor.Callback`.
        on_start: called with the run before its first step; the callbacks it returns are added.
        attend: where something is wrong with the run, try what may remove it, apply what helps, and train
            again; an `Attend` says how often and how long. What was done is in ``run.changes``.

    Returns:
        The run; the weights of the best epoch are in its model.

    Raises:
        PreceptorError: something does not fit; the message says what was expected, received, and what to try.

    Example:
        >>> run = train("mlp", "iris", epochs=30, lr=1e-2, out=False)
        >>> run.history[-1, "val_accuracy"] > 0.8
        True
        >>> run.test().metrics["accuracy"] > 0.8
        True
    """
    given = {
        "data.target": target, "task": task, "metrics": metrics,
        "model.activation": _named("activation", activation, str),
        "model.init": _named("init", init, (str, dict)),
        "optimizer.lr": lr, "optimizer.weight_decay": weight_decay,
        "training.epochs": epochs, "training.batch_size": batch_size, "training.max_grad_norm": max_grad_norm,
        "training.grad_accumulation": grad_accumulation, "training.precision": precision,
        "training.monitor": monitor, "training.mode": mode, "training.patience": patience,
        "training.min_delta": min_delta, "transfer.freeze": freeze, "transfer.unfreeze": unfreeze,
        "transfer.layer_lr_decay": layer_lr_decay,
        "training.deterministic": deterministic, "training.device": device,
        "seed": seed, "name": name,
    }  # fmt: skip
    given |= {f"data.{part}": value for part, value in (("val", val), ("test", test)) if _is_fraction(value)}
    objects, named = sort_blocks({"model": model, "loss": loss, "optimizer": optimizer, "schedule": schedule})
    chosen = {**{k: v for k, v in given.items() if v is not None}, **(settings or {})}
    if is_embedding(chosen.get("task"), experiment):  # vectors in place of a network and its predictions
        return embed(data, {**named, **chosen}, experiment=experiment, out=out)  # type: ignore[return-value]
    for kind, several in (("regularizers", regularizers), ("augmentations", augmentations)):
        if several is not None:
            chosen[kind], own = sort_list(kind, several)
            setattr(objects, kind, own)
    refuse_idle_settings(objects, chosen, data)
    if isinstance(model, str) and (is_own_code(model) or model.endswith(".py")):
        objects.model = import_model(model)
    folder = None
    if resume:
        folder = RunFolder(resume if not isinstance(resume, bool) else _required(out))
        experiment = folder.experiment
        if chosen.get("training.precision") == "auto":  # what was measured then is kept: another choice would
            del chosen["training.precision"]  # give other numbers
    base = experiment or Experiment()
    chosen |= {"data.source": str(data)} if isinstance(data, str | Path) else {}
    source = source_for(from_, base, folder, chosen)
    if source is not None and folder is None:
        base, taken = taking_over(source, base, {*named, *chosen}, objects, data)
        chosen = {**taken, **chosen}
    base = base.changed({**named, **chosen})
    objects.source = source
    keys = {*named, *chosen, *(experiment.chosen() if experiment and not resume else ())}
    meant = settings_of(base, objects.regularizers)
    refuse_contradictions(meant, base, keys)
    base = base.changed(meant)
    inputs = Inputs(
        data if data is not None else _source(base),
        None if _is_fraction(val) else val,
        None if _is_fraction(test) else test,
        own_model=objects.model is not None or is_own_code(base.model.name),
        source=source,
    )
    job = Job(base, inputs, objects, keys, out, callbacks, on_start)
    if not attend:
        return _run(job, folder)
    if folder is not None:
        raise ConfigError(
            "a run that goes on cannot be attended",
            expected="attend for a new run, or resume for one that is to be completed",
            received="attend beside resume",
            hint="complete the run first, then train anew from its settings",
        )
    return attended(job, _run, Attend() if attend is True else attend)


def _named(argument: str, value: Any, kinds: type | tuple[type, ...]) -> Any:
    """Return what a run folder can hold: an object in its place belongs to a model of one's own."""
    if value is None or isinstance(value, kinds):
        return value
    names = "a name of the catalogue"
    raise ConfigError(
        f"{argument} is not usable",
        expected=names if kinds is str else f"{names}, or a dict of a name and its options",
        received=f"{argument}={value!r}",
        hint=f"a model of your own that has this {argument}",
    )


def _run(job: Job, folder: RunFolder | None = None) -> Run:
    experiment, objects, callbacks = job.experiment, job.objects, job.callbacks
    chosen = job.chosen
    resumed = folder is not None
    if folder is not None:
        chosen = chosen | set(folder.manifest["chosen"])
    device = choose_device(experiment.training.device)
    feeds, prepared, experiment = make_feeds(experiment, job.inputs, device)
    if folder is not None:
        refuse_other_data(folder, prepared)
    if objects.model is None and is_own_code(experiment.model.name):
        raise own_model_needed(experiment.model.name)
    with generators.seeded(experiment.seed), generators.deterministic(experiment.training.deterministic):
        problem, experiment = build(experiment, feeds, objects, device)
        if folder is None and job.out is not False:
            # A loader does not tell its classes; by now the model has.
            signature = replace(feeds.signature, classes=getattr(problem.task, "classes", ()))
            folder = _begin(experiment, signature, prepared, chosen, job.out, problem)
        elif folder is not None:
            refuse_other_settings(folder.experiment, experiment)
            callbacks = [Reopen(folder, experiment, chosen), *callbacks]
        run = Run(
            experiment=experiment,
            predictor=problem,
            feeds=feeds,
            prepared=prepared,
            folder=folder,
            chosen=chosen,
        )
        keep: list[Callback] = [KeepHistory(folder)] if folder else []
        if experiment.training.watch and Watch.current() is None:
            made = isinstance(problem.train, FeatureBatches)  # features, whose scale is not the user's to set
            run.diagnosis = Diagnosis(
                lambda finding: run.tell(finding), ignore=("unscaled-inputs",) if made else ()
            )
            keep.append(run.diagnosis)
        added = job.on_start(run) if job.on_start else ()
        run.state = _fit(run, problem, [*callbacks, *keep, *added], resumed)
    run.finish()
    return run


def _begin(
    experiment: Experiment,
    signature: Signature,
    prepared: Prepared | None,
    chosen: set[str],
    out: Path | str | bool | None,
    problem: Problem,
) -> RunFolder:
    """Make the run's folder, with all that is known before the first step."""
    facts = {
        "status": "running",
        "chosen": sorted(chosen),
        "signature": vars(signature),
        "split": prepared.split.text if prepared else None,
        "data": fingerprints(prepared),
        "versions": versions(),
        "ledger": [],
        **({"speed": problem.speed.to_plain()} if problem.speed else {}),
        **({"transfer": problem.transfer.to_plain()} if problem.transfer else {}),
        **origin(),
    }
    files = {"experiment.toml": experiment.to_toml(), "manifest.json": json.dumps(facts, indent=1) + "\n"}
    if prepared:
        files["preprocessing.json"] = json.dumps(prepared.preprocessor.to_state()) + "\n"
    return RunFolder.create(experiment.name, files, out=out if isinstance(out, str | Path) else None)


def _fit(run: Run, problem: Problem, callbacks: Sequence[Callback], resumed: bool) -> State:
    settings, folder = run.experiment.training, run.folder
    checkpoints = snapshot = None
    if folder:
        checkpoints = Checkpoints(
            folder.state, seconds=settings.checkpoint_seconds, steps=settings.checkpoint_steps
        )
        if resumed and folder.state.exists():
            snapshot = checkpoints.load()
    try:
        return fit(
            problem,
            epochs=settings.epochs,
            patience=settings.patience,
            min_delta=settings.min_delta,
            restore_best=settings.restore_best,
            callbacks=callbacks,
            checkpoints=checkpoints,
            resume=snapshot,
        )
    except BaseException as error:
        if folder and folder.manifest["status"] == "running":
            with suppress(StorageError):  # a full disk is the likeliest reason to be here
                ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                folder.update_manifest(status=ended)
        raise
    finally:
        if problem.transfer is not None and problem.transfer.freezing is not None:
            problem.transfer.freezing.release()


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _required(out: Path | str | bool | None) -> Path | str:
    if isinstance(out, bool) or out is None:
        raise ConfigError(
            "resume=True needs to know which run", expected="out='runs/…'", received=f"out={out!r}"
        )
    return out


def _source(experiment: Experiment) -> str:
    if experiment.data.source in ("arrays", "auto", "DataLoader"):
        raise DataError(
            "no data were given",
            expected="a built-in set's name, a file, a folder, (x, y), a Dataset or a DataLoader",
            received="nothing",
            hint="data='digits'",
        )
    return experiment.data.source
