"""What a task asks of the data before they are split: targets or none, gaps that stay, a mask beside them."""

from __future__ import annotations

from typing import Any

from preceptor import catalogue
from preceptor.data import Dataset
from preceptor.data._anomalies import as_anomalies
from preceptor.tasks import KIND_OF_TASK
from preceptor.training.experiment import Experiment

__all__ = ["for_task", "loading", "takes_gaps", "with_indicator"]

_NO_TARGETS = ("inputs", "anomalies")
_INDICATOR = "missing-inputs"


def loading(experiment: Experiment) -> dict[str, Any]:
    """Return how the data are loaded for a task: whether they need targets, and whether NaN is a gap.

    Example:
        >>> loading(Experiment(task="imputation"))
        {'labelled': False, 'gaps': True}
    """
    labelled = KIND_OF_TASK.get(experiment.task) not in _NO_TARGETS
    return {"labelled": labelled, "gaps": takes_gaps(experiment)}


def takes_gaps(experiment: Experiment) -> bool:
    """Say whether the network is told which inputs are missing."""
    return experiment.task == "imputation" or _has_indicator(experiment)


def for_task(dataset: Dataset, experiment: Experiment) -> Dataset:
    """Return the data set with targets that say what is unusual, or none, where the task asks for that.

    Raises:
        ConfigError: it is not known which classes are anomalies.
        DataError: the targets are no classes.
    """
    if KIND_OF_TASK.get(experiment.task) != "anomalies":
        return dataset
    named = experiment.data.anomalies if experiment.task == "anomaly-detection" else ()
    return as_anomalies(dataset, "auto" if named == ("auto",) else named)


def with_indicator(experiment: Experiment) -> dict[str, Any]:
    """Return the augmentations with the mask that imputation needs, as a setting; nothing for other tasks."""
    if experiment.task != "imputation" or _has_indicator(experiment):
        return {}
    given = [block.model_dump() for block in experiment.augmentations]
    return {"augmentations": [*given, {"name": _INDICATOR, "share": 0.0}]}


def _has_indicator(experiment: Experiment) -> bool:
    names = (block.name for block in experiment.augmentations if ":" not in block.name)
    return any(e.traits.get("missing") for name in names for e in catalogue.find(name, "augmentation"))
