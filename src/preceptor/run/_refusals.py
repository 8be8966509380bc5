"""What is refused before training begins: settings without effect, and a resume that would be another run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from preceptor.errors import CheckpointError, ConfigError
from preceptor.training.build import Objects
from preceptor.training.experiment import Experiment
from preceptor.training.folder import RunFolder
from preceptor.training.own_code import name_of

__all__ = [
    "refuse_contradictions",
    "refuse_idle_settings",
    "refuse_other_data",
    "refuse_other_settings",
]

_FIXED = (nn.Module, Optimizer, LRScheduler)  # blocks that take no more options
_MAY_CHANGE = frozenset(
    {
        "name",
        "training.epochs",
        "training.patience",
        "training.goal",
        "training.device",
        "training.memory_format",
        "training.compile",
        "training.shard",
        "training.checkpoint_seconds",
        "training.checkpoint_steps",
        "data.audit",
    }
)


def refuse_other_settings(begun: Experiment, now: Experiment) -> None:
    """Raise `ConfigError` where a resume would go on with other settings than the run was begun with."""
    before, after = begun.flat(), now.flat()
    allowed = _MAY_CHANGE
    if _examples_a_step(begun) == _examples_a_step(now):
        allowed = allowed | {"training.batch_size", "training.grad_accumulation"}
    for key in {**before, **after}:
        if key not in allowed and before.get(key) != after.get(key):
            raise ConfigError(
                f"{key} cannot change when a run goes on",
                expected=f"{key}={before.get(key)!r}, as the run was begun",
                received=f"{key}={after.get(key)!r}",
                hint="begin a new run; a resume may change " + ", ".join(sorted(_MAY_CHANGE)),
            )


def _examples_a_step(experiment: Experiment) -> int:
    size = experiment.training.batch_size
    return size * experiment.training.grad_accumulation if isinstance(size, int) else 0


def refuse_idle_settings(objects: Objects, chosen: Mapping[str, Any], data: Any) -> None:
    """Raise `ConfigError` for a setting that an object given in code would leave without effect."""
    fixed = {kind: block for kind, block in vars(objects).items() if isinstance(block, _FIXED)}
    fixed |= {kind: block for kind in ("loss", "schedule") if (block := getattr(objects, kind)) is not None}
    for key in chosen:
        kind = key.partition(".")[0]
        if kind in fixed:
            raise ConfigError(
                f"{key} has no effect on the {kind} that was given",
                expected="a name, or an object that is already as it should be",
                received=f"{key}={chosen[key]!r} beside {name_of(fixed[kind])}",
            )
    if isinstance(data, DataLoader | TorchDataset) and not isinstance(data, TensorDataset):
        for key in ("data.image_size", "data.image_fit"):
            if key in chosen:
                raise ConfigError(
                    f"{key} has no effect on a data set of your own",
                    expected="images that it yields at their size",
                    received=f"{key}={chosen[key]!r} beside {type(data).__name__}",
                )
    if isinstance(data, DataLoader | IterableDataset):
        for key in ("data.val", "data.test"):
            if chosen.get(key):
                raise ConfigError(
                    "a stream of batches cannot be split",
                    expected="a DataLoader or Dataset of its own",
                    received=f"{key.rpartition('.')[2]}={chosen[key]!r}",
                )


def refuse_contradictions(meant: Mapping[str, Any], experiment: Experiment, chosen: set[str]) -> None:
    """Raise `ConfigError` where a regularizer stands for a setting that was given another value."""
    now = experiment.flat()
    for key, value in meant.items():
        if key in chosen and now[key] != value:
            raise ConfigError(
                f"{key} is given twice",
                expected=f"{key}={value!r}, as the regularizer says, or no such regularizer",
                received=f"{key}={now[key]!r}",
            )


def refuse_other_data(folder: RunFolder, data: Mapping[str, str]) -> None:
    """Raise `CheckpointError` where the data are not those that the folder's run was begun with."""
    recorded, present = folder.manifest.get("data"), data
    if recorded and present and recorded != present:
        raise CheckpointError(
            "the data are not those that the run was begun with",
            expected=f"fingerprint {recorded['examples'][:12]}, split {recorded['split'][:12]}",
            received=f"fingerprint {present['examples'][:12]}, split {present['split'][:12]}",
            hint="restore the data, or begin a new run",
        )
