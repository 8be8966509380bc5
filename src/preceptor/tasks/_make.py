"""From what is known of the targets to a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from preceptor.errors import ConfigError, UnknownName
from preceptor.tasks._task import Task
from preceptor.tasks.classification import Classification
from preceptor.tasks.density import AnomalyDetection, DensityEstimation
from preceptor.tasks.imputation import Imputation
from preceptor.tasks.language import LanguageModelling, SymbolTask
from preceptor.tasks.multi_label import MultiLabel
from preceptor.tasks.parsing import Parsing
from preceptor.tasks.reconstruction import Denoising, Reconstruction
from preceptor.tasks.regression import Regression
from preceptor.tasks.segmentation import Segmentation
from preceptor.tasks.tagging import Tagging
from preceptor.tasks.transcription import Transcription
from preceptor.tasks.translation import Translation

__all__ = ["APART", "KIND_OF_TASK", "make"]

_NAMES = {
    "categories": ("classification",),
    "numbers": ("regression",),
    "masks": ("segmentation",),
    "inputs": ("reconstruction", "denoising", "imputation"),
    "labels": ("multi-label",),
    "texts": ("transcription",),
    "tags": ("tagging",),
    "trees": ("parsing",),
    "anomalies": ("density-estimation", "anomaly-detection"),
    "next-symbols": ("language-modelling",),
    "sequences": ("translation",),
}
_OF_CLASSES: dict[str, Callable[..., Task]] = {
    "categories": Classification,
    "masks": Segmentation,
    "labels": MultiLabel,
    "texts": Transcription,
    "tags": Tagging,
    "trees": Parsing,
}
_OF_SYMBOLS: dict[str, type[SymbolTask]] = {"next-symbols": LanguageModelling, "sequences": Translation}
_OF_INPUTS: dict[str, type[Reconstruction]] = {"denoising": Denoising, "imputation": Imputation}
KIND_OF_TASK = {task: kind for kind, tasks in _NAMES.items() for task in tasks}
"""The kind of targets that each task needs."""
APART = ("clustering", "principal-components", "embedding", "reinforcement")
"""Tasks without targets, whose trainings are of their own kind."""


class Units(Protocol):
    """What a fitted preprocessor knows of number targets: y = target_offset + target_scale · t."""

    @property
    def kind(self) -> str:
        """What kind of inputs it takes, such as ``"images"``."""

    @property
    def target_peak(self) -> float:
        """The range of inputs that are to be predicted."""

    @property
    def log_volume(self) -> float:
        """Σ log σ over all numbers of an example: the logarithm of the volume that scaling makes 1."""

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
        name: such as ``"classification"`` or ``"segmentation"``; None takes what suits ``target_kind``.
        target_kind: ``"categories"``, ``"numbers"``, ``"masks"``, ``"inputs"``, ``"labels"`` or
            ``"anomalies"``.
        classes: display names of the categories, of examples or of pixels; of labels; of what is unusual.
        dims: how many numbers a target has; channels, where the input is the target; symbols, where they
        come next.
        loss: a name of the catalogue; None takes the task's own.
        preprocessor: tells the units in which measures of numbers are given.
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
    _check(name, target_kind)
    judged: dict[str, Any] = {"loss": loss or "auto", "metrics": tuple(metrics)}
    if target_kind in _OF_CLASSES:
        return _OF_CLASSES[target_kind](tuple(classes), **judged)
    if target_kind in _OF_SYMBOLS:
        return _OF_SYMBOLS[target_kind](dims, **judged)
    units: dict[str, Any] = {}
    if target_kind == "anomalies":
        units = {"log_volume": preprocessor.log_volume} if preprocessor is not None else {}
        if name == "anomaly-detection":
            return AnomalyDetection(**units, anomalies=tuple(classes), **judged)
        return DensityEstimation(**units, **judged)
    if preprocessor is not None:
        offset, scale = preprocessor.target_offset.tolist(), preprocessor.target_scale.tolist()
        units = {"offset": tuple(offset), "scale": tuple(scale)}
    if target_kind == "numbers":
        return Regression(dims, **units, **judged)
    if preprocessor is not None:
        units |= {"peak": preprocessor.target_peak, "images": preprocessor.kind == "images"}
    return _OF_INPUTS.get(name or "", Reconstruction)(dims, **units, **judged)


def _check(name: str | None, target_kind: str) -> None:
    suited = _NAMES.get(target_kind)
    if suited is None:
        raise UnknownName("kind of target", target_kind, _NAMES)
    if name is not None and name not in KIND_OF_TASK:
        raise UnknownName("task", name, KIND_OF_TASK)
    if name is not None and name not in suited:
        raise ConfigError(
            f"the targets do not suit {name}",
            expected=f"{KIND_OF_TASK[name]} as targets",
            received=target_kind,
            hint=f'task="{suited[0]}"',
        )
