"""Targets of several labels an example: read from 0 and 1 or from lists in one text, coded as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._arrays import target_array
from preceptor.data._dataset import Array
from preceptor.errors import DataError

__all__ = ["LabelCoder", "is_label_matrix", "label_names"]

_SEPARATORS = (";", "|", ",")


def is_label_matrix(targets: Array) -> bool:
    """Say whether targets are a column of 0 and 1 for each label, whole numbers.

    Example:
        >>> is_label_matrix(np.array([[0, 1], [1, 1]])), is_label_matrix(np.array([[0.5, 1.0]]))
        (True, False)
    """
    return targets.ndim == 2 and targets.dtype.kind in "bi" and bool(np.isin(targets, (0, 1)).all())


def label_names(targets: Array, column: str | None = None) -> tuple[str, ...]:
    """Return the names of the labels: those of the target's columns, or those that the texts list, sorted.

    Arguments:
        targets: (N, K) of 0 and 1, or (N,) texts of labels with ``;``, ``|`` or ``,`` between them.
        column: the target's name; of several columns, their names with commas between them.

    Raises:
        DataError: numbers other than 0 and 1, or no label at all.

    Example:
        >>> label_names(np.array(["red;round", "round", "red; small"]))
        ('red', 'round', 'small')
        >>> label_names(np.array([[0, 1], [1, 1]]), "wet, cold")
        ('wet', 'cold')
    """
    if targets.ndim == 2:
        if not np.isin(targets, (0, 1)).all():
            raise DataError(
                "the targets are no labels",
                expected="0 or 1 in a column for each label",
                received=f"values from {targets.min()} to {targets.max()}",
                hint="the task regression",
            )
        named = [name.strip() for name in (column or "").split(",")]
        return tuple(named if len(named) == targets.shape[1] else map(str, range(targets.shape[1])))
    separator = _separator(targets)
    found = sorted({label for text in targets.tolist() for label in _listed(text, separator)})
    if not found:
        raise DataError("the targets name no label", expected='texts such as "red;round"', received="none")
    return tuple(found)


def _separator(targets: Array) -> str | None:
    texts = [value for value in targets.tolist() if isinstance(value, str)]
    return next((mark for mark in _SEPARATORS if any(mark in text for text in texts)), None)


def _listed(text: Any, separator: str | None) -> list[str]:
    parts = str(text).split(separator) if separator else [str(text)]
    return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True)
class LabelCoder:
    """Labels as a row of 0 and 1 for each example.

    Attributes:
        classes: the labels' names, in the order of the columns.

    Example:
        >>> LabelCoder(("red", "round")).apply(np.array(["round", "red;round"])).tolist()
        [[0.0, 1.0], [1.0, 1.0]]
    """

    kind: ClassVar[str] = "labels"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return float32 (N, K) of 0 and 1.

        Raises:
            DataError: a label that is not known, another number of columns, or other numbers than 0 and 1.
        """
        values = target_array(raw)
        if values.ndim == 2:
            return self._matrix(values)
        out = np.zeros((len(values), len(self.classes)), np.float32)
        if values.dtype.kind in "iu" and not any(name.lstrip("-").isdigit() for name in self.classes):
            rows = [[self.classes[i]] if 0 <= i < len(self.classes) else [str(i)] for i in values.tolist()]
        else:
            separator = _separator(values)
            rows = [_listed(value, separator) for value in values.tolist()]
        index = {name: i for i, name in enumerate(self.classes)}
        unknown = sorted({label for row in rows for label in row if label not in index})
        if unknown:
            raise DataError(
                f"{len(unknown)} labels are unknown" if len(unknown) > 1 else "a label is unknown",
                expected="labels among " + ", ".join(self.classes[:12]),
                received=", ".join(map(repr, unknown[:6])),
            )
        for i, row in enumerate(rows):
            out[i, [index[label] for label in row]] = 1.0
        return torch.from_numpy(out)

    def _matrix(self, values: Array) -> torch.Tensor:
        wrong = values.shape[1] != len(self.classes) or values.dtype.kind not in "biuf"
        if wrong or not np.isin(values, (0, 1)).all():
            raise DataError(
                "the targets do not suit what was trained on",
                expected=f"0 or 1 for each of {len(self.classes)} labels",
                received=f"dtype {values.dtype}, shape {values.shape}",
            )
        return torch.from_numpy(values.astype(np.float32))

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}
