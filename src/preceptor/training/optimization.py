"""What makes the steps: optimizer and schedule, and the value that decides which epoch is best."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from preceptor import catalogue, tasks
from preceptor.errors import ConfigError, ModelError, did_you_mean
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.objects import Objects
from preceptor.training.own_code import guarded, name_of
from preceptor.training.settings import Block
from preceptor.training.transfer import Transfer, refuse_layers_apart

__all__ = ["choose_monitor", "make_optimizer", "make_schedule"]


def make_optimizer(
    experiment: Experiment, objects: Objects, model: nn.Module, transfer: Transfer | None
) -> tuple[Optimizer, Block]:
    """Return the optimizer of what is trained, with rates by layer where they were asked for, and its block.

    Raises:
        ConfigError: an option that it has not, or an object that does not suit the model.
        ModelError: there is nothing to learn.
    """
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


def make_schedule(
    experiment: Experiment, objects: Objects, optimizer: Optimizer, steps: int, mode: str
) -> tuple[Any, Any, Block]:
    """Return the schedule or None, when it steps ("step", "epoch" or "metric"), and its block.

    Raises:
        ConfigError: an option that it has not, or an object that does not suit the optimizer.
    """
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


def choose_monitor(experiment: Experiment, feeds: Feeds, task: tasks.Task) -> tuple[str, Any]:
    """Return the history key that decides which epoch is best, and whether less or more is better.

    Raises:
        ConfigError: this training has no such key.
    """
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
            else did_you_mean(monitor, known),
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
