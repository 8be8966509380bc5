"""`train`: from names, objects and data to a finished `Run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from preceptor.data.text import TextCoder
from preceptor.errors import ConfigError, DataError
from preceptor.run._average import averaged
from preceptor.run._load import stored_coder
from preceptor.run._once import perform
from preceptor.run._refusals import (
    refuse_contradictions,
    refuse_idle_settings,
)
from preceptor.run._run import Run
from preceptor.run._sort import sort_blocks, sort_list
from preceptor.run._transfer import source_for, taking_over
from preceptor.run.apart.reinforcement import is_reinforcement, reinforce
from preceptor.run.apart.structure import describe, is_structure
from preceptor.run.examined.attend import Attend, Job, attended
from preceptor.run.examined.check import gated, refuse_checks
from preceptor.run.many.members import Members
from preceptor.run.many.training import asked_members, train_ensemble
from preceptor.run.text.embed import embed, is_embedding
from preceptor.training.callbacks import Callback
from preceptor.training.carry import goes_on
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.inputs import Inputs
from preceptor.training.language import is_language, refuse_idle_text, text_defaults
from preceptor.training.loggers import with_named
from preceptor.training.named import settings_of
from preceptor.training.own_code import import_model, is_own_code
from preceptor.training.source import Source
from preceptor.training.spread import refuse_apart

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
    callbacks: Sequence[Callback | str] = (),
    on_start: Callable[[Run], Sequence[Callback]] | None = None,
    attend: bool | Attend = False,
    check: bool = False,
    goal: float | None = None,
    members: int | Members | None = None,
    average: str | Mapping[str, Any] | None = None,
) -> Run:
    """Train a network and return the run: history, best weights, and what can be done with them.

    A string, an object or a callable is accepted wherever a block is expected: ``optimizer="adam"``,
    ``optimizer=torch.optim.Adam``, ``model="mlp"``, ``model=MyNet()``, ``loss=my_function``.

    Arguments:
        model: a catalogue name, an ``nn.Module`` or what makes one; default: the simplest that suits.
        data: a built-in set's name, a file or folder, ``(x, y)``, a DataFrame, a Dataset or a DataLoader;
            a path may also be given alone, in the model's place.
        target: the column to predict, where the data are a table.
        task: ``"classification"``, ``"regression"``, ``"segmentation"`` (a mask for each image),
            ``"denoising"`` or ``"reconstruction"`` (inputs are their own targets),
            ``"imputation"``, ``"multi-label"``, ``"anomaly-detection"``, ``"density-estimation"``,
            ``"transcription"``, ``"tagging"``, ``"parsing"``, ``"clustering"``, ``"principal-components"``,
            ``"reinforcement"`` or ``"language-modelling"`` (a text is continued); default: by the targets.
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
        callbacks: see `preceptor.Callback`; ``"tensorboard"`` and ``"mlflow"`` write for those tools.
        on_start: called with the run before its first step; the callbacks it returns are added.
        attend: where something is wrong with the run, try what may remove it, apply what helps, and train
            again; an `Attend` says how often and how long. What was done is in ``run.changes``.
        check: look first whether the training can work (`preceptor.check`, the part that decides it), and
            refuse it where it cannot. What was seen is in ``run.checks``.
        goal: the headline measure that is wanted, such as an accuracy of 0.98, or what people reach:
            ``run.advice`` goes by it, and an attended training tries on until it is reached.
        members: so many trainings, whose predictions are combined; `Members` says what they differ in,
            whether they are snapshots of one training, and how they are combined: an `Ensemble`.
        average: ``"polyak"``, ``"ema"`` or ``"swa"``: an average of the weights over the steps is what is
            measured, kept and used.

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
    if data is None and experiment is None and _is_path(model):
        model, data = None, model
    given = {
        "data.target": target, "task": task, "metrics": metrics,
        "model.activation": _named("activation", activation, str),
        "model.init": _named("init", init, (str, dict)),
        "optimizer.lr": lr, "optimizer.weight_decay": weight_decay,
        "training.epochs": epochs, "training.batch_size": batch_size, "training.max_grad_norm": max_grad_norm,
        "training.grad_accumulation": grad_accumulation, "training.precision": precision,
        "training.monitor": monitor, "training.mode": mode, "training.patience": patience,
        "training.min_delta": min_delta, "training.goal": goal,
        "transfer.freeze": freeze, "transfer.unfreeze": unfreeze,
        "transfer.layer_lr_decay": layer_lr_decay,
        "training.deterministic": deterministic, "training.device": device,
        "seed": seed, "name": name,
    }  # fmt: skip
    given |= {f"data.{part}": value for part, value in (("val", val), ("test", test)) if _is_fraction(value)}
    objects, named = sort_blocks({"model": model, "loss": loss, "optimizer": optimizer, "schedule": schedule})
    chosen = {**{k: v for k, v in given.items() if v is not None}, **(settings or {})}
    begun = (out if resume is True else resume) or None
    apart = _apart(data, {**named, **chosen}, experiment, out, begun, check=check)
    if apart is not None:
        return apart  # type: ignore[no-any-return]  # a run of its own kind
    for kind, several in (("regularizers", regularizers), ("augmentations", augmentations)):
        if several is not None:
            chosen[kind], own = sort_list(kind, several)
            setattr(objects, kind, own)
    chosen |= averaged(average, chosen, experiment)
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
    refuse_idle_text(base, keys)
    if folder is None:
        base = base.changed(text_defaults(base, keys))
    meant = settings_of(base, objects.regularizers)
    refuse_contradictions(meant, base, keys)
    base = base.changed(meant)
    inputs = Inputs(
        data if data is not None else _source(base),
        None if _is_fraction(val) else val,
        None if _is_fraction(test) else test,
        own_model=objects.model is not None or is_own_code(base.model.name),
        source=source,
        coder=_coder(folder, source) if is_language(base) else None,
        carries=goes_on(objects.model),
    )
    job = Job(base, inputs, objects, keys, out, with_named(callbacks), on_start)
    return _perform(
        gated(job, check, resumed=folder is not None), folder, asked_members(members, folder), attend
    )


def _perform(job: Job, folder: RunFolder | None, how: Members | None, attend: bool | Attend) -> Run:
    """Train once, several times, or until nothing wrong is found."""
    refuse_apart(job.experiment, attend=bool(attend), members=how is not None)
    if how is not None:
        return train_ensemble(job, perform, how, folder, attended=bool(attend))
    if not attend:
        return perform(job, folder)
    if folder is not None:
        raise ConfigError(
            "a run that goes on cannot be attended",
            expected="attend for a new run, or resume for one that is to be completed",
            received="attend beside resume",
            hint="complete the run first, then train anew from its settings",
        )
    return attended(job, perform, Attend() if attend is True else attend)


def _apart(
    data: Any, chosen: dict[str, Any], experiment: Experiment | None, out: Any, resume: Any, *, check: Any
) -> Any:
    """Return the run of what is no network with predictions, vectors or learners; None for all else."""
    task = chosen.get("task")
    if is_embedding(task, experiment):
        refuse_checks(check)
        return embed(data, chosen, experiment=experiment, out=out)
    if is_structure(task, experiment):
        refuse_checks(check)
        return describe(data, chosen, experiment=experiment, out=out)
    if is_reinforcement(task, experiment, resume):
        refuse_checks(check)
        begun = resume if isinstance(resume, str | Path) else None
        return reinforce(data, chosen, experiment=experiment, out=out, resume=begun)
    return None


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


def _coder(folder: RunFolder | None, source: Source | None) -> TextCoder | None:
    """Return the vocabulary of the run that goes on, or of the one that is started from."""
    if folder is not None:
        return stored_coder(folder)
    return stored_coder(Path(source.name)) if source is not None else None


def _is_path(value: Any) -> bool:
    """Say whether data were given in the place of the model."""
    return isinstance(value, str | Path) and not str(value).endswith(".py") and Path(value).exists()


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
