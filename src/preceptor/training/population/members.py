"""What is asked of many trainings at once, and what comes back: a `Member` for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from preceptor.errors import ConfigError, PreceptorError
from preceptor.training.experiment import Experiment
from preceptor.training.history import History
from preceptor.training.problem import Predictor
from preceptor.training.settings import Block

__all__ = ["ENGINES", "Engine", "Member", "spelled_out"]

Engine: TypeAlias = Literal["auto", "sequential", "vmapped", "batched"]
ENGINES: tuple[Engine, ...] = ("auto", "sequential", "vmapped", "batched")

_SHORT = {
    **{key: f"optimizer.{key}" for key in ("lr", "weight_decay", "momentum", "betas", "eps", "alpha")},
    **{key: f"model.{key}" for key in ("hidden", "dropout", "activation", "init", "normalization")},
    **{
        key: f"training.{key}"
        for key in ("epochs", "batch_size", "max_grad_norm", "patience", "min_delta", "grad_accumulation")
    },
    "label_smoothing": "loss.label_smoothing",
}
_BLOCKS = {key for key, value in Experiment.model_fields.items() if value.annotation is Block}


@dataclass
class Member:
    """One of several trainings that were asked for together.

    Attributes:
        index: its place among the changes that were given.
        change: what it has of its own, by dotted key.
        experiment: all its settings; with everything decided once it was trained.
        history: a row an epoch, as `preceptor.train` keeps it; ``seconds`` is its share of the epoch's.
        monitor: the history key that decides, and ``mode`` whether less or more of it is better.
        best: the best monitored value; None where there was none.
        best_epoch: the epoch that it came from, from 1.
        stop: why it ended before its epochs were run: "early stopping", "diverged", "pruned", "halted", …
        steps: optimizer steps taken.
        start: what was measured before the first step, where that was asked for.
        seconds: of training, shared out among those that were trained in one step.
        engine: how it was trained: "sequential", "vmapped" or "batched".
        why: how that was chosen, in words.
        predictor: its model with the weights of the best epoch, with task and loss; None where not kept.
        weights: of the best epoch, and ``last_weights`` those of the last step, by name.
        error: what made it impossible to train; None where nothing did.
    """

    index: int
    change: dict[str, Any]
    experiment: Experiment
    history: History = field(default_factory=History)
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    best: float | None = None
    best_epoch: int | None = None
    stop: str | None = None
    steps: int = 0
    start: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    engine: str = "sequential"
    why: str = ""
    predictor: Predictor | None = None
    weights: dict[str, Tensor] | None = None
    last_weights: dict[str, Tensor] | None = None
    error: PreceptorError | None = None

    @property
    def status(self) -> str:
        """How it ended: finished, early stopping, diverged, pruned, halted, or failed."""
        return "failed" if self.error is not None else self.stop or "finished"

    @property
    def model(self) -> nn.Module | None:
        """Its network; None where it was not kept."""
        return None if self.predictor is None else self.predictor.model


def spelled_out(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change by dotted keys: ``lr`` is ``optimizer.lr``, a block's bare name ``model.name``.

    Raises:
        ConfigError: the same setting is given twice.

    Example:
        >>> spelled_out({"lr": 0.1, "seed": 3, "optimizer": {"name": "sgd", "momentum": 0.9}})
        {'optimizer.lr': 0.1, 'seed': 3, 'optimizer.name': 'sgd', 'optimizer.momentum': 0.9}
    """
    found: dict[str, Any] = {}
    for key, value in change.items():
        for name, inner in _entries(key, value):
            if name in found:
                raise ConfigError(
                    f"{name} is given twice",
                    expected="one value for each setting of a member",
                    received=f"{found[name]!r} and {inner!r}",
                )
            found[name] = inner
    return found


def _entries(key: str, value: Any) -> list[tuple[str, Any]]:
    if key not in _BLOCKS:
        return [(_SHORT.get(key, key), value)]
    if isinstance(value, Block):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return [(f"{key}.{option}", inner) for option, inner in value.items()]
    return [(f"{key}.name", value)]
