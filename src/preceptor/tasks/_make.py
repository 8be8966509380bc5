"""From what is known of the targets to a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from preceptor.errors import ConfigError, UnknownName
from preceptor.tasks._task import Task
from preceptor.tasks.classification import Classification
from preceptor.tasks.regression import Regression

__all__ = ["make"]

_NAMES = {"categories": "classification", "numbers": "regression"}


class Units(Protocol):
    """What a fitted preprocessor knows of number targets: y = target_offset + target_scale · t."""

    @property
    def target_offset(self) -> Tensor:
        """(D,), in the data's units."""

    @property
    def target_scale(self) -> Tensor:
        """(D,), in the data's units."""


def make(
    name: str | None,
    target_kind: str,
    classes: Sequence[str] = (),
    dims: int = 1,
    loss: str | None = None,
    preprocessor: Units | None = None,
    metrics: Sequence[str] = (),
) -> Task:
    """Make the task that suits the targets.

    Arguments:
        name: ``"classification"`` or ``"regression"``; None takes what suits ``target_kind``.
        target_kind: ``"categories"`` or ``"numbers"``.
        classes: display names of the categories.
        dims: how many numbers a target has.
        loss: a name of the catalogue; None takes the task's own.
        preprocessor: tells the units in which a regression's measures are given.
        metrics: names of the catalogue, the headline measure first; empty takes the task's own.

    Raises:
        UnknownName: no such task, or no such loss.
        ConfigError: the task does not suit the targets, or the loss does not suit the task.
        DataError: fewer than two classes.

    Example:
        >>> make(None, "categories", ("no", "yes")).loss
        'binary-cross-entropy'
        >>> make(None, "numbers", dims=2).outputs
        2
    """
    suited = _NAMES.get(target_kind)
    if suited is None:
        raise UnknownName("kind of target", target_kind, _NAMES)
    if name is not None and name not in _NAMES.values():
        raise UnknownName("task", name, _NAMES.values())
    if name not in (None, suited):
        raise ConfigError(
            f"the targets do not suit {name}",
            expected=f"{'categories' if name == 'classification' else 'numbers'} as targets",
            received=target_kind,
            hint=f'task="{suited}"',
        )
    chosen = loss or "auto"
    if suited == "classification":
        return Classification(tuple(classes), loss=chosen, metrics=tuple(metrics))
    if preprocessor is None:
        return Regression(dims, loss=chosen, metrics=tuple(metrics))
    offset, scale = preprocessor.target_offset.tolist(), preprocessor.target_scale.tolist()
    return Regression(dims, tuple(offset), tuple(scale), loss=chosen, metrics=tuple(metrics))
