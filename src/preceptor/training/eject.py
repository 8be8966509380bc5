"""A run as a plain PyTorch script that gives the same weights."""

from __future__ import annotations

import inspect
from functools import cache, partial

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from preceptor.data import Prepared
from preceptor.errors import ConfigError
from preceptor.training.dense import DENSE
from preceptor.training.eject_data import data_lines
from preceptor.training.experiment import Experiment
from preceptor.training.feeds import Feeds
from preceptor.training.named import beside_the_loss
from preceptor.training.problem import Problem

__all__ = ["eject"]

_LOSSES = {
    "cross-entropy": "F.cross_entropy(output{wide}, y{options})",
    "binary-cross-entropy": "F.binary_cross_entropy_with_logits(output{wide}.reshape(-1), y.float())",
    "mse": "F.mse_loss(output{wide}, y)",
    "mae": "F.l1_loss(output{wide}, y)",
    "smoothed-cross-entropy": "F.cross_entropy(output{wide}, y{options})",
    "huber": "F.huber_loss(output{wide}, y{options})",
}
_INITIALIZERS = {
    "he-normal": "kaiming_normal_(layer.weight, nonlinearity='relu')",
    "he-uniform": "kaiming_uniform_(layer.weight, nonlinearity='relu')",
    "xavier-normal": "xavier_normal_(layer.weight)",
    "xavier-uniform": "xavier_uniform_(layer.weight)",
    "orthogonal": "orthogonal_(layer.weight)",
}


def eject(experiment: Experiment, problem: Problem, feeds: Feeds, prepared: Prepared | None) -> str:
    """Return the run as the text of a Python script that needs torch, NumPy and scikit-learn alone.

    Arguments:
        experiment: all settings.
        problem: as built for the run, before or after training.
        feeds: the run's batches.
        prepared: the run's data.

    Raises:
        ConfigError: something in the run has no plain form; the message says what.
    """
    if feeds.signature.target_kind in (*DENSE, "sequences", "next-symbols"):
        raise _no_plain_form(f"the task is {experiment.task}", "a classification or a regression")
    if prepared is None:
        raise _no_plain_form("the data come from loaders of your own", "your program is the plain script")
    if experiment.transfer.active:
        raise _no_plain_form(
            "weights of another run, or layers that are frozen or have rates of their own",
            "a run from scratch",
        )
    if experiment.data.bag is not None:
        raise _no_plain_form("the examples are drawn with replacement", "--set data.bag=none")
    if beside := beside_the_loss(experiment):
        hint = (
            "a run without, or one that regularises by the optimizer's weight_decay and the model's dropout"
        )
        raise _no_plain_form(", ".join(beside), hint)
    settings, monitor = experiment.training, problem.monitor
    if settings.compile:
        raise _no_plain_form("a compiled model rounds otherwise", "--set training.compile=false")
    if problem.mode != "min" or not (monitor.endswith("loss") or monitor == "train_loss_running"):
        decided = f"the run is decided by the {problem.mode}imum of {monitor}"
        raise _no_plain_form(decided, "--set training.monitor=val_loss")
    part = monitor.partition("_")[0] if monitor in ("val_loss", "train_loss") else None
    measured = {"train": feeds.probe, "val": feeds.val}.get(part or "")
    parts = ["train", *(["val"] if part == "val" else [])]
    data, imports = data_lines(experiment, prepared, parts)
    schedule, more = _schedule(problem)
    model = _model(experiment, problem.model)
    context = {
        "name": experiment.name,
        "imports": _imports(imports | more),
        "seed": experiment.seed,
        "epochs": settings.epochs,
        "batch_size": problem.train.batch_size,
        "evaluation_batch": measured.batch_size if measured else 1024,
        "accumulation": settings.grad_accumulation,
        "patience": settings.patience,
        "max_grad_norm": settings.max_grad_norm,
        "min_delta": settings.min_delta,
        "restore_best": settings.restore_best,
        "device": str(problem.device),
        "data": data,
        "parts": parts,
        "measured": part,
        "probe": len(feeds.probe.x) if hasattr(feeds.probe, "x") else 0,  # type: ignore[union-attr]  # asked for just before
        "model": model,
        "channels_last": settings.memory_format == "channels-last",
        "optimizer": _optimizer(experiment, problem.optimizer),
        "schedule": schedule,
        "plateau": problem.scheduler_steps == "metric",
        "scaler": problem.scaler is not None,
        "backward": "scaler.scale(loss).backward()" if problem.scaler else "loss.backward()",
        "autocast": {"bf16": "bfloat16", "fp16": "float16"}.get(problem.precision),
        "loss": _loss(experiment, problem),
        "closure": problem.needs_closure,
        "monitor": monitor,
        "value": "measure(x_measured, y_measured)" if part else "total / len(y_train)",
    }
    return _template().render(context)


@cache
def _template() -> Template:
    environment = Environment(  # noqa: S701 - the product is Python, not HTML; every value is a literal
        loader=PackageLoader("preceptor.training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("plain.py.j2")


def _imports(more: set[str]) -> list[str]:
    lines = {"import torch", "import torch.nn.functional as F", "from torch import nn", *more}
    return sorted(lines, key=lambda line: (line.split()[1] not in ("csv", "gzip", "math", "functools"), line))


def _model(experiment: Experiment, model: nn.Module) -> str:
    block = experiment.model
    if not isinstance(model, nn.Sequential) or ":" in block.name:
        raise _no_plain_form(f"the model {block.name} is your own code", "import it in a script of your own")
    parts = [part for part in model.modules() if part is not model]
    if own := [part for part in parts if not type(part).__module__.startswith("torch.nn.")]:
        raise _no_plain_form(f"{type(own[0]).__name__} is not among torch's layers", "layers of torch.nn")
    layers = "".join(f"    nn.{layer!r},\n" for layer in model)
    text = f"model = nn.Sequential(\n{layers})"
    init = block.options.get("init")
    if init is None:
        return text
    if not isinstance(init, str) or init not in _INITIALIZERS:
        raise _no_plain_form(f"init={init!r}", "one of " + ", ".join(_INITIALIZERS))
    return (
        f"{text}\nwith torch.no_grad():\n    for layer in model:\n"
        "        if isinstance(layer, (nn.Linear, nn.Conv2d)):\n"
        f"            nn.init.{_INITIALIZERS[init]}\n            if layer.bias is not None:\n"
        "                layer.bias.zero_()"
    )


def _optimizer(experiment: Experiment, optimizer: Optimizer) -> str:
    """Write the optimizer's constructor with the options that differ from torch's own defaults."""
    if ":" in experiment.optimizer.name:
        raise _no_plain_form(
            f"the optimizer {experiment.optimizer.name} is your own code", "one of the catalogue"
        )
    cls = type(optimizer)
    if getattr(torch.optim, cls.__name__, None) is not cls:
        raise _no_plain_form(f"torch has no optimizer {experiment.optimizer.name}", "adam, sgd or l-bfgs")
    own = inspect.signature(cls).parameters
    options = [
        f"{key}={value!r}"
        for key, value in optimizer.defaults.items()
        if key in own and (key == "lr" or value != own[key].default)
    ]
    return f"torch.optim.{cls.__name__}(model.parameters(), {', '.join(options)})"


def _schedule(problem: Problem) -> tuple[str, set[str]]:
    scheduler = problem.scheduler
    if scheduler is None:
        return "", set()
    if isinstance(scheduler, LambdaLR) and isinstance(factor := scheduler.lr_lambdas[0], partial):
        source = inspect.getsource(factor.func)
        bound = ", ".join(f"{k}={v!r}" for k, v in factor.keywords.items())
        call = f"partial({factor.func.__name__}, {bound})"
        text = f"\n\n{source}\n\nscheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, {call})"
        mathematics = {"import math"} if "math." in source else set()
        return text, {"from functools import partial", *mathematics}
    if isinstance(scheduler, ReduceLROnPlateau):
        names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "eps")
        options = ", ".join(f"{n}={getattr(scheduler, n)!r}" for n in names)
        minimum = f"min_lr={scheduler.min_lrs[0]!r}"
        call = f"torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, {options}, {minimum})"
        return f"scheduler = {call}", set()
    raise _no_plain_form(
        f"the schedule {type(scheduler).__name__}", "a schedule of steps or epochs, or plateau"
    )


def _loss(experiment: Experiment, problem: Problem) -> str:
    name = problem.task.loss
    if name not in _LOSSES or ":" in experiment.loss.name:
        raise _no_plain_form(f"the loss {experiment.loss.name}", "one of " + ", ".join(_LOSSES))
    options = {k: v for k, v in experiment.loss.options.items() if k != "reduction" and v}
    if options.get("per") == "example":
        raise _no_plain_form(f"the loss {name} by the example", "per='element', as torch has it")
    written = "".join(f", {k}={v!r}" for k, v in options.items())
    wide = ".float()" if problem.precision != "fp32" else ""
    return _LOSSES[name].format(options=written, wide=wide)


def _no_plain_form(what: str, hint: str) -> ConfigError:
    return ConfigError(
        "this run cannot be written as a plain script",
        expected="a model, loss, optimizer and schedule of the catalogue, and data by name",
        received=what,
        hint=hint,
    )
