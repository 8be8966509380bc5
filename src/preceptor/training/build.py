"""From an experiment and its data to a problem: names become blocks, and what was "auto" is decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor import catalogue, tasks
from preceptor.catalogue.regularizers import L2SP
from preceptor.data import generators
from preceptor.data.batches import TensorBatches
from preceptor.errors import ConfigError, ModelError
from preceptor.training.augmentation import behind, make_pipeline, suited
from preceptor.training.carry import Carried
from preceptor.training.dense import balanced, model_penalty, on_a_grid, own_parts
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.layout import align_moments, lay_out
from preceptor.training.models import model_and_task
from preceptor.training.named import AUGMENTATIONS, REGULARIZERS, make_all
from preceptor.training.objects import Objects
from preceptor.training.optimization import choose_monitor, make_optimizer, make_schedule
from preceptor.training.own_code import guarded, name_of
from preceptor.training.problem import Problem
from preceptor.training.regularization import (
    attach,
    needs_population,
    refuse_other_losses,
    refuse_with_closure,
)
from preceptor.training.settings import Block
from preceptor.training.source import open_source
from preceptor.training.speed import Speed, use
from preceptor.training.suits import refuse_unsuitable
from preceptor.training.tiling import Tiling
from preceptor.training.transfer import begin, precompute, refuse_layers_apart

__all__ = ["Objects", "batch_size_for", "build", "choose_device"]


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
    model, model_block, task, output = model_and_task(experiment, feeds, objects, device)
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
    optimizer, optimizer_block = make_optimizer(experiment, objects, model, transfer)
    steps = max(1, -(-len(feeds.train) // experiment.training.grad_accumulation))
    if regularization:
        regularization.plan(steps * experiment.training.epochs)
    monitor, mode = choose_monitor(experiment, feeds, task)
    scheduler, scheduler_steps, schedule_block = make_schedule(experiment, objects, optimizer, steps, mode)
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
        carried=Carried() if feeds.carries else None,
        population=feeds.every if needs_population(experiment, regularization, model) else None,
        transfer=transfer,
    )
    if problem.needs_closure:
        _check_closure(problem, [*regularizers, *others], optimizer_block.name)
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


def _check_closure(problem: Problem, parts: list[Any], optimizer: str) -> None:
    """Check that nothing is asked for which an optimizer that evaluates the loss itself cannot follow."""
    if problem.transfer is not None:
        refuse_layers_apart(problem.transfer)
    if problem.carried is not None:
        raise ConfigError(
            "an optimizer that evaluates the loss several times a step must find it the same",
            expected="an optimizer of one evaluation a step, such as adam or sgd",
            received=f"{optimizer}, and a network whose state goes on with every evaluation",
        )
    if parts or problem.augment:
        known = catalogue.find(optimizer, "optimizer")
        closure = known[0].traits.get("closure") if known else None
        refuse_with_closure(parts, problem.augment, closure)
    if problem.scaler:
        raise ConfigError(
            "fp16 scales the loss, which an optimizer that evaluates it several times a step cannot follow",
            expected="precision fp32 or bf16",
            received=f"precision fp16 with {optimizer}",
        )


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
