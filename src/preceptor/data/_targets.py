"""Targets: checked, told apart as classes or numbers, and given class names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from preceptor.data._dataset import Array, Dataset, Table
from preceptor.data._labels import is_label_matrix, label_names
from preceptor.data._transcripts import symbols_of
from preceptor.errors import ConfigError, DataError

__all__ = ["KINDS", "as_vectors", "check_classes", "class_name", "class_names", "clean", "codes", "infer"]
__all__ += ["retarget"]

KINDS = ("categories", "numbers", "masks", "inputs", "labels", "texts")
NOTE = "target: "
_FEW = 20  # integers with at most this many distinct values are read as classes


def clean(targets: Any, *, named: str = "targets") -> Array:
    """Return targets as a plain array: (N,) str, bool, int64 or float64, or (N, D) numbers.

    Raises:
        DataError: Python objects that are not all text, NaN, infinity, or more than two axes.

    Example:
        >>> clean([[1.0], [2.5]])
        array([1. , 2.5])
    """
    try:
        values = np.asarray(targets)
    except ValueError as error:
        raise DataError(f"{named} do not form an array", received=str(error)) from error
    if values.dtype == object:
        values = _from_objects(values, named)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind == "b":
        values = values.astype(np.int64)
    if values.ndim not in (1, 2) or values.shape[1:] == (0,):
        raise DataError(
            f"{named} have an unusable shape", expected="(N,) or (N, D)", received=str(values.shape)
        )
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        return _finite(values.astype(np.float64), named)
    if values.dtype.kind not in "bU" or values.ndim == 2:
        raise DataError(
            f"{named} have an unusable type",
            expected="text, bools, integers or floats, one per example",
            received=f"dtype {values.dtype}, shape {values.shape}",
        )
    return values


def _from_objects(values: Array, named: str) -> Array:
    flat = values.reshape(-1).tolist()
    gaps = [i for i, value in enumerate(flat) if value is None]
    if gaps:
        raise DataError(f"{named} have {len(gaps):,} missing values", received=f"the first in row {gaps[0]}")
    for kinds, dtype in (((str,), np.str_), ((bool, np.bool_), np.bool_), ((int, float, np.number), None)):
        if all(isinstance(value, kinds) for value in flat):
            return np.array(flat, dtype=dtype).reshape(values.shape)
    found = sorted({type(value).__name__ for value in flat})
    raise DataError(
        f"{named} are an array of Python objects",
        expected="one plain type: all text, all bools, or all numbers",
        received=", ".join(found[:6]),
        hint="np.array(values, dtype=str) makes them classes, dtype=float numbers",
    )


def _finite(values: Array, named: str) -> Array:
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{named} hold {int(bad.sum()):,} values that are NaN or infinite",
            expected="finite numbers",
            received=f"{values[first]} in row {first[0]}",
            hint="remove those rows",
        )
    return values


def infer(targets: Array, *, table: bool, images: bool = False) -> tuple[str, str]:
    """Tell classes from numbers; return the kind and a note that says why.

    Text and bools are classes. Numbers are classes when they are whole and few (at most 20 distinct
    values, each twice on average), or 0 and 1 alone, or, outside of tables, the integers 0 … K−1.

    Example:
        >>> infer(np.array([0.5, 1.5]), table=False)[0], infer(np.array([0, 1, 1]), table=False)[0]
        ('numbers', 'categories')
    """
    if is_label_matrix(targets):
        return "labels", f"{NOTE}0 or 1 for each of {targets.shape[1]} labels (the task regression: numbers)"
    if targets.ndim == 2:
        return "numbers", f"{NOTE}{targets.shape[1]} numbers for each example"
    distinct = np.unique(targets)
    if images and targets.dtype.kind == "U" and len(distinct) == len(targets) >= _FEW:
        return "texts", f"{NOTE}another text for each image, to be transcribed"
    if targets.dtype.kind in "bU":
        what = "texts" if targets.dtype.kind == "U" else "truth values"
        return "categories", f"{NOTE}{len(distinct)} different {what}, taken as classes"
    if not (distinct == np.floor(distinct)).all():
        return "numbers", f"{NOTE}numbers with fractions, to be predicted as numbers"
    few = len(distinct) <= _FEW and 2 * len(distinct) <= len(targets)
    indices = targets.dtype.kind == "i" and np.array_equal(distinct, np.arange(len(distinct)))
    if few or np.isin(distinct, (0, 1)).all() or (indices and not table and len(distinct) < len(targets)):
        why = f"{len(distinct)} different whole numbers, taken as classes"
        return "categories", f"{NOTE}{why} (the task regression predicts their value)"
    why = f"{len(distinct)} different whole numbers, to be predicted as numbers"
    return "numbers", f"{NOTE}{why} (the task classification takes them as classes)"


def class_name(value: Any) -> str:
    """Return the display name of one raw class value: 3, 3.0 and "3" are all called "3".

    Raises:
        DataError: a number with a fraction is no class.
    """
    if isinstance(value, (float, np.floating)):
        if not float(value).is_integer():
            raise DataError(
                "the targets are not classes",
                expected="text, bools or whole numbers",
                received=f"the value {value}",
                hint="the task regression",
            )
        value = int(value)
    return str(value)


def class_names(targets: Array) -> tuple[str, ...]:
    """Return the names of the distinct values, in their sorted order."""
    if targets.ndim != 1:
        raise DataError(
            "the targets are not classes",
            expected="one class for each example, shape (N,)",
            received=f"shape {targets.shape}",
            hint="the task regression, or targets.argmax(axis=1) if each row marks one class",
        )
    return tuple(class_name(value) for value in np.unique(targets))


def check_classes(targets: Array, target_kind: str) -> None:
    """Raise `DataError` where there is nothing to learn: a single value, or as many classes as rows."""
    distinct = np.unique(targets, axis=0)
    if len(distinct) < 2:
        what = "class" if target_kind == "categories" else "value"
        raise DataError(
            f"the targets have only one {what}",
            expected=f"at least two different {'classes' if what == 'class' else 'values'}",
            received=f"{distinct.reshape(-1)[0]!s} in all {len(targets):,} rows"
            if len(targets)
            else "no rows",
        )
    if target_kind == "categories" and len(distinct) == len(targets) >= _FEW and targets.dtype.kind == "U":
        raise DataError(
            "every target is different",
            expected="classes that several examples share",
            received=f"{len(distinct):,} different texts in {len(targets):,} rows",
            hint="choose another target",
        )


def codes(targets: Array, classes: tuple[str, ...]) -> Array:
    """Return the index of each target's class, (N,) int64.

    Integers also stand for class indices where the classes have names that are no integers.

    Raises:
        DataError: a class that is not among ``classes``.

    Example:
        >>> codes(np.array(["bee", "ant", "bee"]), ("ant", "bee"))
        array([1, 0, 1])
    """
    distinct, inverse = np.unique(targets, return_inverse=True)
    index = {name: i for i, name in enumerate(classes)}
    if targets.dtype.kind == "i" and not any(name.lstrip("-").isdigit() for name in classes):
        index = {str(i): i for i in range(len(classes))}
    found = [index.get(class_name(value), -1) for value in distinct]
    if -1 in found:
        unknown = [class_name(distinct[i]) for i, code in enumerate(found) if code < 0]
        raise DataError(
            f"{len(unknown)} classes are unknown" if len(unknown) > 1 else "a class is unknown",
            expected="one of " + ", ".join(classes[:12]) + (", …" if len(classes) > 12 else ""),
            received=", ".join(map(repr, unknown[:6])),
        )
    return np.asarray(found, dtype=np.int64)[inverse.reshape(-1)]


def retarget(dataset: Dataset, target_kind: str | None) -> Dataset:
    """Return the data set with its targets read as ``target_kind``, or as they are where that is None.

    Raises:
        ConfigError: ``target_kind`` is not one of `KINDS`.
        DataError: text cannot be numbers, numbers with fractions cannot be classes; there are no masks.
    """
    if target_kind is None or target_kind == dataset.target_kind:
        return dataset
    if target_kind == "anomalies":  # nothing is known of them
        return replace(as_vectors(dataset, gaps=False), target_kind=target_kind, classes=())
    if target_kind not in KINDS:
        raise ConfigError(
            "target_kind is not usable", expected=" or ".join(KINDS), received=repr(target_kind)
        )
    if "masks" in (target_kind, dataset.target_kind) and target_kind != "inputs":
        raise DataError(
            "the targets do not suit what is to be predicted",
            expected="a mask for each image, (N, H, W)" if target_kind == "masks" else target_kind,
            received=dataset.text,
            hint="an archive with image and mask, or (x, y) of one height and width",
        )
    if target_kind == "inputs":
        return _from_themselves(dataset)
    targets = dataset.targets
    if target_kind == "categories":
        classes = class_names(targets)
    elif target_kind == "labels":
        classes = label_names(targets, dataset.target_name)
    elif target_kind == "texts":
        targets = np.array([class_name(value) for value in targets.tolist()], dtype=np.str_)
        classes = symbols_of(targets)
    else:
        classes = ()
        if targets.dtype.kind not in "if":
            raise DataError(
                "the targets are not numbers",
                expected="integers or floats",
                received=f"{targets[0]!s} ({'text' if targets.dtype.kind == 'U' else 'bool'})",
                hint="the task classification",
            )
    check_classes(targets, target_kind)
    notes = tuple(note for note in dataset.notes if not note.startswith(NOTE))
    return replace(
        dataset,
        targets=targets,
        target_kind=target_kind,
        classes=classes,
        notes=(*notes, f"{NOTE}read as {target_kind}, as asked"),
    )


def _from_themselves(dataset: Dataset) -> Dataset:
    """Return the data set with its inputs as its targets."""
    dataset = as_vectors(dataset)
    if not isinstance(dataset.inputs, np.ndarray) or dataset.kind not in ("images", "vectors"):
        raise DataError(
            "these inputs cannot be predicted from themselves",
            expected="images (N, C, H, W), vectors (N, D), or a table of numbers alone",
            received=dataset.text,
            hint="leave out the columns of text",
        )
    notes = tuple(note for note in dataset.notes if not note.startswith(NOTE))
    return replace(
        dataset,
        targets=dataset.inputs,
        target_kind="inputs",
        classes=(),
        notes=(*notes, f"{NOTE}the inputs themselves"),
    )


def as_vectors(dataset: Dataset, *, gaps: bool = True) -> Dataset:
    """Return a table of numbers as vectors, NaN where a value is missing; other data as they are.

    Arguments:
        dataset: any.
        gaps: whether a table with missing values is taken so too.

    Example:
        >>> from preceptor.data._dataset import Column
        >>> table = Table((Column("age", "number", np.array([39.0, np.nan])),))
        >>> data = Dataset("a", "table", table, np.zeros(2), "numbers", None, (), (), None, (), "", "")
        >>> as_vectors(data).inputs.tolist(), as_vectors(data, gaps=False).kind
        ([[39.0], [nan]], 'table')
    """
    if not isinstance(dataset.inputs, Table) or any(c.kind != "number" for c in dataset.inputs.columns):
        return dataset
    values = np.stack([column.values for column in dataset.inputs.columns], axis=1).astype(np.float64)
    if not gaps and np.isnan(values).any():
        return dataset
    return replace(dataset, kind="vectors", inputs=values, feature_names=dataset.inputs.names)
