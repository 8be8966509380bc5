"""From an experiment and its data to a problem: names become blocks, and what was "auto" is decided."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from preceptor import catalogue, tasks
from preceptor.catalogue.regularizers import L2SP
from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, ModelError
from preceptor.training.augmentation import behind, make_pipeline, suited
from preceptor.training.dense import balanced, model_penalty, on_a_grid, own_parts, simplest
from preceptor.training.evaluate import evaluation
from preceptor.training.experiment import Block, Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.layout import align_moments, lay_out
from preceptor.training.named import AUGMENTATIONS, REGULARIZERS, make_all
from preceptor.training.own_code import guarded, make_model, name_of
from preceptor.training.problem import Problem
from preceptor.training.regularization import (
    attach,
    needs_population,
    refuse_other_losses,
    refuse_with_closure,
)
from preceptor.training.source import Source, open_source
from preceptor.training.speed import Speed, use
from preceptor.training.suits import refuse_unsuitable
from preceptor.training.tiling import Tiling
from preceptor.training.transfer import Transfer, begin, precompute, refuse_layers_apart

__all__ = ["Objects", "batch_size_for", "build", "choose_device"]


@dataclass
class Objects:
    """Blocks that a user made in code; each takes the place of the experiment's name for it."""

    model: nn.Module | Callable[[], nn.Module] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    optimizer: Optimizer | Callable[..., Optimizer] | None = None
    schedule: LRScheduler | Callable[[Optimizer], LRScheduler] | None = None
    regularizers: dict[int, Any] = field(default_factory=dict)  # by their place in the list
    augmentations: dict[int, Any] = field(default_factory=dict)
    source: Source | None = None  # what the weights come from


def build(
    experiment: Experiment, feeds: Feeds, objects: Objects, device: torch.device
) -> tuple[Problem, Experiment]:
    """Build the problem, and return with it the experiment in which nothing is left undecided.

    Draws the model's first weights from torch's global generator.

    Raises:
        UnknownName: a block's name is not in the catalogue.
        ConfigError: an option that a block has not, or settings that do not go together.
        ModelError: the model cannot take the inputs, or its outputs do not fit the targets.
    """
    regularizers = make_all(experiment.regularizers, objects.regularizers, REGULARIZERS)
    wanted = suited(experiment.augmentations, feeds.signature)
    experiment = experiment.model_copy(update={"augmentations": wanted})
    augmentations = make_all(wanted, objects.augmentations, AUGMENTATIONS)
    kind, shape = feeds.signature.target_kind, feeds.signature.input_shape
    varied, own = own_parts(augmentations, experiment, kind, shape)
    pipeline, others = make_pipeline(varied, regularizers)
    others = [*others, *own]
    if pipeline is not None:
        pipeline.to(device)
    feeds = behind(feeds, pipeline, experiment)
    model, model_block, task, output = _model_and_task(experiment, feeds, objects, device)
    source = objects.source
    if source is None and experiment.transfer.source is not None:
        source = open_source(experiment.transfer.source)
    width = output.shape[1] if isinstance(output, Tensor) and output.ndim > 1 else 1
    transfer = begin(experiment, source, model, feeds, width, pipeline)
    others += model_penalty(model)
    criterion, loss_block = _criterion(experiment, task, objects, feeds)
    _check_criterion(criterion, task, output, feeds.sample[1])
    refuse_other_losses(regularizers, task.loss)
    regularization = attach(model, [*regularizers, *others])
    for part in regularization.parts if regularization and transfer else ():
        if isinstance(part, L2SP):
            part.forget(transfer.fresh if transfer else ())
    optimizer, optimizer_block = _optimizer(experiment, objects, model, transfer)
    steps = max(1, -(-len(feeds.train) // experiment.training.grad_accumulation))
    monitor, mode = _monitor(experiment, feeds, task)
    scheduler, scheduler_steps, schedule_block = _schedule(experiment, objects, optimizer, steps, mode)
    settings = experiment.training
    problem = Problem(
        model=model,
        task=task,
        criterion=criterion,
        optimizer=optimizer,
        train=feeds.train,
        probe=feeds.probe,
        val=feeds.val,
        scheduler=scheduler,
        scheduler_steps=scheduler_steps,
        monitor=monitor,
        mode=mode,
        grad_accumulation=settings.grad_accumulation,
        max_grad_norm=settings.max_grad_norm,
        precision="fp32" if settings.precision == "auto" else settings.precision,
        device=device,
        augment=pipeline,
        tiling=Tiling.of(feeds.sample[0], output) if on_a_grid(kind, shape) else None,
        regularization=regularization or None,
        population=feeds.every if needs_population(experiment, regularization, model) else None,
        transfer=transfer,
    )
    if transfer is not None and problem.needs_closure:
        refuse_layers_apart(transfer)
    if problem.needs_closure and (regularizers or pipeline or others):
        known = catalogue.find(optimizer_block.name, "optimizer")
        closure = known[0].traits.get("closure") if known else None
        refuse_with_closure([*regularizers, *others], pipeline, closure)
    if problem.needs_closure and problem.scaler:
        raise ConfigError(
            "fp16 scales the loss, which an optimizer that evaluates it several times a step cannot follow",
            expected="precision fp32 or bf16",
            received=f"precision fp16 with {optimizer_block.name}",
        )
    if objects.optimizer is None:
        refuse_unsuitable(catalogue.entry(optimizer_block.name, "optimizer"), problem, feeds)
    layout = lay_out(model, feeds.sample[0], settings.memory_format, flat_gradients=problem.needs_closure)
    asked = Speed(problem.precision, layout, str(device), reason="auto" * (settings.precision == "auto"))
    problem = use(
        problem,
        feeds,
        asked,
        layout_is_free=settings.memory_format == "auto",
        compile_it=settings.compile,
    )
    assert problem.speed is not None  # noqa: S101 - just decided
    if transfer is not None:
        problem.begin_epoch(1)
        precompute(problem, feeds, experiment.transfer)
    align_moments(optimizer)  # AdaGrad has made its own by now, a user's optimizer may have been in use
    decided = {
        "task": task.name,
        "metrics": task.metrics,
        "model": model_block.model_dump(),
        "loss": loss_block.model_dump(),
        "optimizer": optimizer_block.model_dump(),
        "schedule": schedule_block.model_dump(),
        "regularizers": tuple(block.model_dump() for _, block in regularizers),
        "augmentations": tuple(block.model_dump() for _, block in augmentations),
        "training.batch_size": feeds.train.batch_size,
        "training.monitor": monitor,
        "training.mode": mode,
        "training.device": str(device),
        "training.memory_format": problem.speed.memory_format,
        "training.precision": problem.speed.precision,
        "training.compile": problem.speed.compiled,
    }
    blocks = ("model", "loss", "optimizer", "schedule")
    rest = {k: v for k, v in experiment.flat().items() if k.partition(".")[0] not in blocks}
    return problem, Experiment.of({**rest, **decided})


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``"auto"`` is a GPU where there is one.

    Raises:
        ConfigError: no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            "the device cannot be used",
            expected="auto, cpu, cuda, cuda:1, mps, …, as this machine has them",
            received=f"{name!r}: {str(error).splitlines()[0]}",
            hint="`preceptor env` lists the devices of this machine",
        ) from error
    return device


def batch_size_for(experiment: Experiment, examples: int, most: int | None = None) -> int:
    """Return the batch size: as set, as the optimizer asks, or by the examples, at most ``most``."""
    wanted: int | str | None = experiment.training.batch_size
    if wanted == "auto":
        name = experiment.optimizer.name
        known = catalogue.find(name, "optimizer")
        wanted = known[0].traits.get("batch") if known else None
    if wanted == "full":
        return examples
    if wanted is not None and wanted != "auto":
        return int(wanted)
    size = 32 if examples < 5_000 else 64
    return size if most is None else min(size, most)


def _model_and_task(
    experiment: Experiment, feeds: Feeds, objects: Objects, device: torch.device
) -> tuple[nn.Module, Block, tasks.Task, Tensor]:
    """A user's model tells the task how many outputs there are; the task tells a named model."""
    block, given = experiment.model, objects.model
    if given is not None:
        model = make_model(given, block.options)
        name = block.name if ":" in block.name else name_of(model)
        model, block = model.to(device), Block(name=name, **block.options)
        task = _task(experiment, feeds, objects, output := _try(model, feeds))
    else:
        if feeds.signature.input_shape is None:
            raise ModelError("inputs that are not one tensor need a model of your own", hint="model=MyNet()")
        task = _task(experiment, feeds, objects, None)
        if block.name == "auto":
            block = Block(**{**_simplest(task, feeds.signature.input_shape).model_dump(), **block.options})
        name = block.name
        entry = catalogue.entry(name, "architecture")
        block = Block(name=entry.name, **entry.options(**block.options))
        with guarded(f"the model {name!r} cannot be built", expected="sizes that fit into memory"):
            model = entry.build(feeds.signature.input_shape, task.outputs, **block.options).to(device)
        output = _try(model, feeds)
    task.check(output, feeds.sample[1])
    _warn_of_steps(model)
    return model, block, task, output


def _warn_of_steps(model: nn.Module) -> None:
    """Say so where no gradient can pass: a step function has slope zero wherever it has one."""
    steps = [name for name, module in model.named_modules() if isinstance(module, catalogue.piecewise.Step)]
    if steps:
        warnings.warn(
            f"no gradient passes the step function {steps[0]!r}: the layers before it keep their "
            'first weights; for training take "sigmoid" or "relu"',
            stacklevel=2,
        )


def _simplest(task: tasks.Task, shape: tuple[int, ...]) -> Block:
    if isinstance(task, tasks.Segmentation | tasks.Reconstruction):
        return simplest(task.name, shape)
    return Block(name="lenet-5" if len(shape) == 3 and min(shape[1:]) >= 28 else "mlp")


def _try(model: nn.Module, feeds: Feeds) -> Tensor:
    """Run the model on a few examples, leaving the random generators as they were."""
    x = feeds.sample[0]
    shown = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
    before = generators.capture()
    try:
        with (
            guarded(
                "the model cannot take the inputs",
                expected=f"a forward pass over a batch of inputs {shown}",
                hint="check the first layer's size and the inputs' shape and dtype",
            ),
            evaluation(model),
        ):
            output: Tensor = model(x)
    finally:
        generators.restore(before)
    return output


def _loss_name(experiment: Experiment) -> str | None:
    name = experiment.loss.name
    return None if name == "auto" else catalogue.losses.training_loss(name).name


def _task(experiment: Experiment, feeds: Feeds, objects: Objects, output: Tensor | None) -> tasks.Task:
    width = output.shape[1] if isinstance(output, Tensor) and output.ndim > 1 else 1
    classes = feeds.signature.classes
    if feeds.signature.target_kind in ("categories", "masks") and not classes:
        if output is None:
            raise ModelError(
                "a model by name needs to know the classes",
                expected="data in memory or by name, whose classes are known",
                received="a DataLoader",
                hint="pass your own nn.Module, or the data as (x, y)",
            )
        classes = tuple(str(i) for i in range(max(2, width)))
    loss = None if objects.loss is not None else _loss_name(experiment)
    if loss is None and len(classes) == 2 and width == 2:
        loss = "cross-entropy"  # two outputs for two classes: a softmax over both
    return tasks.make(
        None if experiment.task == "auto" else experiment.task,
        target_kind=feeds.signature.target_kind,
        classes=classes,
        dims=feeds.signature.dims,
        loss=loss,
        preprocessor=feeds.preprocessor,
        metrics=experiment.metrics,
    )


def _criterion(
    experiment: Experiment, task: tasks.Task, objects: Objects, feeds: Feeds
) -> tuple[Callable[[Tensor, Tensor], Tensor], Block]:
    if objects.loss is not None:
        with guarded("the loss cannot be made", kind=ConfigError):
            loss = objects.loss() if isinstance(objects.loss, type) else objects.loss
        return loss, Block(name=name_of(objects.loss))
    entry = catalogue.entry(task.loss, "loss")
    options = entry.options(**experiment.loss.options)
    if options.get("reduction", "mean") != "mean":
        raise ConfigError(
            "training minimises the mean loss, whatever the size of a batch",
            expected="reduction='mean'",
            received=f"reduction={options['reduction']!r}",
            hint="a larger learning rate does what a sum would",
        )
    block = Block(name=entry.name, **options)
    if options.get("class_weights") == "balanced" and isinstance(feeds.train, TensorBatches):
        options["class_weights"] = balanced(feeds.train.y, task.outputs)
        block = Block(name=entry.name, **options)
    return entry.build(**options), block


def _check_criterion(
    criterion: Callable[[Tensor, Tensor], Tensor], task: tasks.Task, output: Tensor, target: Tensor
) -> None:
    """Check on a few examples that the loss is one number with a gradient; the generators are left alone."""
    before = generators.capture()
    try:
        with guarded("the loss cannot be computed", expected="a callable of (outputs, targets)"):
            loss = criterion(*task.align(output.detach().requires_grad_(), target))
    finally:
        generators.restore(before)
    if not (isinstance(loss, Tensor) and loss.ndim == 0 and loss.requires_grad):
        shown = f"tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)[:80]
        raise ModelError(
            "the loss is not usable",
            expected="one number for a batch: a tensor of shape () with a gradient",
            received=shown + (", without a gradient" if isinstance(loss, Tensor) and not loss.ndim else ""),
            hint="the mean over the batch, computed from the outputs by torch's own functions",
        )


def _optimizer(
    experiment: Experiment, objects: Objects, model: nn.Module, transfer: Transfer | None
) -> tuple[Optimizer, Block]:
    made, block = _made_optimizer(experiment, objects, model, transfer)
    if transfer is not None and transfer.factors:
        if made is objects.optimizer:
            raise ConfigError(
                "an optimizer that is made already has its own rates",
                expected="its name, its class, or a function that makes it, beside rates by layer",
                received=type(made).__name__,
            )
        transfer.scale(made, model)
    return made, block


def _made_optimizer(
    experiment: Experiment, objects: Objects, model: nn.Module, transfer: Transfer | None
) -> tuple[Optimizer, Block]:
    parameters: list[Any] = [p for p in model.parameters() if p.requires_grad]
    groups: list[Any] = parameters
    if transfer is not None:
        parameters, apart = transfer.groups(model)
        groups = [{"params": group} for group in apart] if len(apart) > 1 else parameters
    if not parameters:
        raise ModelError(
            "the model has nothing to learn", expected="parameters with requires_grad", received="none"
        )
    given, options = objects.optimizer, experiment.optimizer.options
    if given is None:
        entry = catalogue.entry(experiment.optimizer.name, "optimizer")
        options = entry.options(**options)
        if transfer is not None and entry.traits.get("closure"):
            refuse_layers_apart(transfer)
        return entry.build(groups, **options), Block(name=entry.name, **options)
    made = given
    if not isinstance(given, Optimizer):
        with guarded("the optimizer cannot be made", expected="a callable of (parameters)", kind=ConfigError):
            made = given(groups, **options)
    held = {id(p) for group in getattr(made, "param_groups", ()) for p in group["params"]}
    if not isinstance(made, Optimizer) or held.isdisjoint(map(id, parameters)):
        raise ConfigError(
            "the optimizer does not suit the model",
            expected="a torch.optim.Optimizer that holds parameters of this model",
            received=repr(made)[:80] if not held else f"{type(made).__name__} over other parameters",
            hint="optimizer=torch.optim.Adam is made from the model's parameters here",
        )
    return made, Block(name=name_of(given), **({} if made is given else options))


def _schedule(
    experiment: Experiment, objects: Objects, optimizer: Optimizer, steps: int, mode: str
) -> tuple[Any, Any, Block]:
    given = objects.schedule
    if given is not None:
        scheduler = given
        if not isinstance(given, LRScheduler):
            with guarded(
                "the schedule cannot be made", expected="a callable of (optimizer)", kind=ConfigError
            ):
                scheduler = given(optimizer)
        if not isinstance(scheduler, LRScheduler) or getattr(scheduler, "optimizer", None) is not optimizer:
            raise ConfigError(
                "the schedule does not suit the optimizer",
                expected="an LRScheduler of the optimizer that this training uses",
                received=repr(scheduler)[:80],
                hint="schedule=lambda optimizer: StepLR(optimizer, 10)",
            )
        when = "metric" if isinstance(scheduler, ReduceLROnPlateau) else "epoch"
        return scheduler, when, Block(name=name_of(scheduler))
    entry = catalogue.entry(experiment.schedule.name, "schedule")
    follow = {"mode": mode} if entry.traits.get("metric") else {}  # what is monitored decides what is better
    options = entry.options(**{**follow, **experiment.schedule.options})
    block = Block(name=entry.name, **options)
    if entry.traits.get("constant"):
        return None, "step", block
    total = steps * experiment.training.epochs
    scheduler = entry.factory(optimizer, total_steps=total, steps_per_epoch=steps, **options)
    return scheduler, "metric" if entry.traits.get("metric") else "step", block


def _monitor(experiment: Experiment, feeds: Feeds, task: tasks.Task) -> tuple[str, Any]:
    settings = experiment.training
    known = {"train_loss_running": "min"}
    for part, batches in (("train", feeds.probe), ("val", feeds.val)):
        if batches is not None:
            known[f"{part}_loss"] = "min"
            known |= {f"{part}_{m}": catalogue.entry(m, "metric").traits["better"] for m in task.metrics}
    monitor = settings.monitor
    if monitor == "auto":
        monitor = _decisive(experiment, task, known)
    if monitor not in known:
        raise ConfigError(
            f"there is no history key {monitor!r} to monitor",
            expected=", ".join(known),
            received=monitor,
            hint="validation needs data: val=0.15"
            if monitor.startswith("val_") and feeds.val is None
            else None,
        )
    return monitor, known[monitor] if settings.mode == "auto" else settings.mode


def _decisive(experiment: Experiment, task: tasks.Task, known: dict[str, str]) -> str:
    """Validation decides, except for least squares solved in full, which have one solution to reach."""

    def trait(name: str, kind: str, of: str) -> bool:
        return any(e.traits.get(of, False) for e in catalogue.find(name, kind))

    exact = (
        task.name == "regression"
        and trait(experiment.model.name, "architecture", "convex")
        and trait(experiment.optimizer.name, "optimizer", "second_order")
    )
    order = ("train_loss", "val_loss") if exact else ("val_loss", "train_loss")
    return next((key for key in order if key in known), "train_loss_running")
