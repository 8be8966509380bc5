"""What a caller says of the training: settings, which text can hold, apart from what only code can give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preceptor.errors import ConfigError, nearest
from preceptor.run import Run, train
from preceptor.search._work import Given, arguments
from preceptor.training.callbacks import Callback
from preceptor.training.experiment import Experiment
from preceptor.training.settings import Block

__all__ = ["looked_at", "sort_out"]

_BLOCKS = ("model", "loss", "optimizer", "schedule")
_LISTS = ("regularizers", "augmentations")
_NAMES = {
    "target": "data.target",
    "task": "task",
    "metrics": "metrics",
    "activation": "model.activation",
    "init": "model.init",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "max_grad_norm": "training.max_grad_norm",
    "grad_accumulation": "training.grad_accumulation",
    "precision": "training.precision",
    "monitor": "training.monitor",
    "mode": "training.mode",
    "patience": "training.patience",
    "min_delta": "training.min_delta",
    "deterministic": "training.deterministic",
    "device": "training.device",
    "from_": "transfer.source",
    "freeze": "transfer.freeze",
    "unfreeze": "transfer.unfreeze",
    "layer_lr_decay": "transfer.layer_lr_decay",
    "val": "data.val",
    "test": "data.test",
}
"""Arguments of `preceptor.train` and the settings that they stand for."""


def sort_out(
    model: Any, data: Any, experiment: Experiment | None, training: Mapping[str, Any]
) -> tuple[dict[str, Any], Given]:
    """Return the settings that are chosen, by dotted key, and what was given in code.

    Raises:
        ConfigError: an argument that a training has not.

    Example:
        >>> sort_out("mlp", "digits", None, {"epochs": 5, "settings": {"model.hidden": [32]}})[0]
        {'data.source': 'digits', 'model.name': 'mlp', 'training.epochs': 5, 'model.hidden': [32]}
    """
    chosen: dict[str, Any] = {}
    if experiment is not None:
        flat = experiment.flat()
        chosen = {key: flat[key] for key in flat if key in experiment.chosen()}
    blocks: dict[str, Any] = {}
    if isinstance(data, str | Path):
        chosen["data.source"] = str(data)
        data = None
    given = {"model": model, **training}
    settings = given.pop("settings", None) or {}
    for key, value in given.items():
        if value is not None:
            _put(key, value, chosen, blocks)
    chosen |= settings
    if chosen.get("task") == "embedding":
        raise ConfigError("word vectors have no validation examples", expected="a network to train")
    return chosen, Given(data, blocks)


def _put(key: str, value: Any, chosen: dict[str, Any], blocks: dict[str, Any]) -> None:
    if key in _BLOCKS and isinstance(value, str):
        chosen[f"{key}.name"] = value
    elif key in _BLOCKS and isinstance(value, Mapping | Block):
        options = value.model_dump() if isinstance(value, Block) else value
        chosen.update((f"{key}.{name}", option) for name, option in options.items())
    elif key in _LISTS and _is_plain(value):
        chosen[key] = value
    elif key in (*_BLOCKS, *_LISTS) or (key in ("val", "test") and not isinstance(value, int | float)):
        blocks[key] = value
    elif key in _NAMES:
        chosen[_NAMES[key]] = str(value) if isinstance(value, Path) else value
    else:
        known = (*_BLOCKS, *_LISTS, *_NAMES, "settings")
        close = nearest(key, known, 1)
        raise ConfigError(
            f"{key!r} is no argument of a training here",
            expected=", ".join(known),
            received=f"{key}={value!r:.60}",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )


def _is_plain(value: Any) -> bool:
    several = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(one, str | Mapping) for one in several)


class _LookedError(Exception):
    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def looked_at(settings: Mapping[str, Any], given: Given) -> Run:
    """Build a training, check all of it, and return it as it is before its first step.

    Raises:
        PreceptorError: something does not fit.
    """

    def stop(run: Run) -> list[Callback]:
        raise _LookedError(run)

    try:
        return train(
            experiment=Experiment.of(settings), out=False, on_start=stop, **arguments(settings, given)
        )
    except _LookedError as looked:
        return looked.run
