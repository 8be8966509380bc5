"""The last step of every source: targets are checked and named, and the fingerprint is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from preceptor.data._dataset import Array, Dataset, Table, fingerprint
from preceptor.data._labels import label_names
from preceptor.data._masks import mask_classes, plain_masks
from preceptor.data._targets import NOTE, check_classes, class_names, clean, codes, infer
from preceptor.data._transcripts import symbols_of
from preceptor.errors import DataError

__all__ = ["assemble", "named_targets"]


def assemble(
    *,
    name: str,
    origin: str,
    kind: str,
    inputs: Array | Table | torch.Tensor,
    targets: Any,
    names: Sequence[str] = (),
    target_name: str | None = None,
    feature_names: tuple[str, ...] = (),
    part: Array | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Make a `Dataset`: infer what the targets are, name the classes, take the fingerprint.

    Where the source gives ``names``, they are the classes in the order of their indices; without targets,
    None, there is nothing to predict but the inputs. All else is as in `Dataset`.

    Raises:
        DataError: the targets are unusable, or not as many as the inputs.
    """
    masks = plain_masks(targets, inputs) if kind == "images" and np.ndim(targets) > 2 else None
    none = targets is None
    y = clean(np.zeros(len(inputs), np.int64) if none else targets) if masks is None else masks
    if len(inputs) != len(y):
        raise DataError(
            "inputs and targets differ in length",
            expected="one target for each example",
            received=f"{len(inputs):,} inputs, {len(y):,} targets",
        )
    if len(y) == 0:
        raise DataError("the data are empty", expected="examples", received="0 rows")
    classes: tuple[str, ...] = ()
    if masks is not None:
        target_kind, classes = "masks", mask_classes(y, names)
        note = f"{NOTE}masks of {len(classes)} classes of pixels"
    elif none:
        target_kind, note = "anomalies", f"{NOTE}none"
    else:
        y = named_targets(y, names)
        target_kind, note = infer(y, table=kind == "table", images=kind == "images")
        if target_kind == "categories":
            classes = tuple(names) or class_names(y)
        elif target_kind == "labels":
            classes = tuple(names) or label_names(y, target_name)
        elif target_kind == "texts":
            classes = symbols_of(y)
        check_classes(y, target_kind)
    return Dataset(
        name=name,
        kind=kind,
        inputs=inputs,
        targets=y,
        target_kind=target_kind,
        target_name=target_name,
        feature_names=feature_names,
        classes=classes,
        part=part,
        notes=(*notes, note),
        origin=origin,
        fingerprint=fingerprint(inputs, y),
    )


def named_targets(targets: Array, names: Sequence[str]) -> Array:
    """Return each class index's name; targets that are no indices, or have no names, stay as they are.

    Raises:
        DataError: an index has no name.
    """
    if not names or targets.ndim != 1 or targets.dtype.kind not in "iU":
        return targets
    return np.asarray(names, dtype=np.str_)[codes(targets, tuple(names))]
