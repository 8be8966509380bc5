"""Data without targets, or whose targets say what is unusual and are not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._arrays import target_array
from preceptor.data._dataset import Array, Dataset
from preceptor.data._targets import NOTE, as_vectors, class_name, clean
from preceptor.errors import ConfigError, DataError

__all__ = ["AnomalyCoder", "as_anomalies"]

_USUAL_NAMES = ("anomaly", "anomalous", "outlier", "abnormal", "fraud", "attack", "true", "yes")


@dataclass(frozen=True)
class AnomalyCoder:
    """1 for an example of a class that is unusual, else 0.

    Attributes:
        classes: the names of the unusual classes; empty where nothing is known of them.

    Example:
        >>> AnomalyCoder(("9",)).apply(np.array([3, 9])).tolist(), AnomalyCoder(()).apply([3, 9]).tolist()
        ([0, 1], [0, 0])
    """

    kind: ClassVar[str] = "anomalies"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return int64 (N,) of 0 and 1."""
        values = target_array(raw)
        if not self.classes:
            return torch.zeros(len(values), dtype=torch.int64)
        found = [class_name(value) in self.classes for value in clean(values).tolist()]
        return torch.tensor(found, dtype=torch.int64)

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}


def as_anomalies(dataset: Dataset, anomalies: str | Sequence[str] = ()) -> Dataset:
    """Return the data set with its targets read as usual or unusual.

    Arguments:
        dataset: with classes as targets, or without any.
        anomalies: the names of the classes that are unusual; empty for none. ``"auto"``: of two classes the
            one that is called so (anomaly, fraud, 1, …), or else the rarer one; of a data set without
            targets none.

    Raises:
        ConfigError: no such class, or all of them; several classes and none named.
        DataError: the targets are no classes.

    Example:
        >>> from preceptor.data import load
        >>> as_anomalies(load("digits"), ["9"]).classes
        ('9',)
    """
    dataset = as_vectors(dataset, gaps=False)
    if anomalies == "auto" and dataset.target_kind == "anomalies":
        anomalies = dataset.classes
    if not len(anomalies) or dataset.target_kind == "anomalies":
        return replace(dataset, target_kind="anomalies", classes=tuple(anomalies), notes=_noted(dataset, ()))
    if dataset.target_kind != "categories":
        raise DataError(
            "the targets do not say what is unusual",
            expected="classes, or no targets",
            received=dataset.text,
        )
    known = dataset.classes
    names = _guessed(dataset) if anomalies == "auto" else _named(anomalies)
    unknown = [name for name in names if name not in known]
    if unknown or not 0 < len(set(names)) < len(known):
        raise ConfigError(
            "which classes are anomalies?",
            expected="some of " + ", ".join(known[:20]) + ", not all",
            received=", ".join(names) or "none named",
            hint=f'data.anomalies=["{known[-1]}"]',
        )
    return replace(dataset, target_kind="anomalies", classes=tuple(names), notes=_noted(dataset, names))


def _named(anomalies: str | Sequence[str]) -> tuple[str, ...]:
    return (anomalies,) if isinstance(anomalies, str) else tuple(map(str, anomalies))


def _guessed(dataset: Dataset) -> tuple[str, ...]:
    if len(dataset.classes) != 2:
        return ()
    called = [name for name in dataset.classes if name.lower() in _USUAL_NAMES]
    if len(called) == 1:
        return tuple(called)
    values: Array = np.array([class_name(value) for value in dataset.targets.tolist()])
    counts = [int((values == name).sum()) for name in dataset.classes]
    if counts[0] == counts[1]:
        return ()
    return (dataset.classes[int(np.argmin(counts))],)


def _noted(dataset: Dataset, names: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(note for note in dataset.notes if not note.startswith(NOTE))
    what = f"anomalies are {', '.join(names)}; they are measured on, not learned from" if names else "none"
    return (*kept, f"{NOTE}{what}")
