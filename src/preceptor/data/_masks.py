"""Targets that lie on a grid: masks with the class of each pixel, and the inputs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.catalogue.pixels import VOID
from preceptor.data._dataset import Array, Dataset
from preceptor.errors import DataError, UnknownName

__all__ = ["InputCoder", "MaskCoder", "fit_inputs", "fit_masks", "mask_classes", "plain_masks"]

_NOT_COUNTED = frozenset(("void", "ignore", "ignored", "unlabelled", "unlabeled", "unknown"))
_LEVELS = 256


def plain_masks(targets: Any, inputs: Any) -> Array | None:
    """Return targets as masks (N, H, W) of bytes, where they are of the inputs' height and width; else None.

    Raises:
        DataError: values beyond a byte.

    Example:
        >>> plain_masks(np.ones((2, 1, 4, 4), bool), np.zeros((2, 3, 4, 4))).shape
        (2, 4, 4)
        >>> plain_masks(np.ones(2), np.zeros((2, 3, 4, 4))) is None
        True
    """
    values = np.asarray(targets)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or values.dtype.kind not in "biu" or np.ndim(inputs) != 4:
        return None
    if values.shape[1:] != inputs.shape[2:]:
        raise DataError(
            "masks and images differ in size",
            expected="×".join(map(str, inputs.shape[2:])),
            received="×".join(map(str, values.shape[1:])),
            hint="images must not be resized without their masks: image_size 'auto'",
        )
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < _LEVELS:
        raise DataError(
            "the values of the masks are no classes of pixels",
            expected=f"0…{_LEVELS - 1}",
            received=f"{int(values.min())} to {int(values.max())}",
        )
    return values.astype(np.uint8)


def mask_classes(masks: Array, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the classes in masks: those given, or the values; 255 beside others is none.

    Raises:
        DataError: one class alone, or a value without a name.

    Example:
        >>> mask_classes(np.array([[[0, 1], [7, 255]]], np.uint8), ())
        ('0', '1', '7')
    """
    present = np.flatnonzero(np.bincount(masks.reshape(-1), minlength=_LEVELS))
    if names:
        unnamed = [int(v) for v in present if v >= len(names) and v != VOID]
        if unnamed:
            raise DataError(
                "values of the masks have no name",
                expected=f"0…{len(names) - 1}: " + ", ".join(list(names)[:12]),
                received=", ".join(map(str, unnamed[:6])),
            )
        return tuple(names)
    if len(present) > 2:
        present = present[present != VOID]
    if len(present) < 2:
        raise DataError(
            "the masks have only one class",
            expected="at least two different values",
            received=", ".join(map(str, present.tolist())),
        )
    return tuple(str(value) for value in present.tolist())


def fit_masks(dataset: Dataset, ignore: str | int) -> MaskCoder:
    """Return the coder of a data set's masks.

    Arguments:
        dataset: with masks as targets.
        ignore: a class by its name or value, whose pixels do not count; ``"auto"``: void and the like;
            ``"none"``: all count.

    Raises:
        UnknownName: no class is called so.
        DataError: fewer than two classes are left.
    """
    names = dataset.classes
    numbered = all(name.isdigit() for name in names)
    values = {name: int(name) if numbered else i for i, name in enumerate(names)}
    by_value = {str(value): name for name, value in values.items()}
    if ignore == "auto":
        out = {name for name in names if name.strip().lower() in _NOT_COUNTED}
    elif ignore == "none":
        out = set()
    else:
        wanted = str(ignore)
        if wanted not in values and wanted not in by_value and wanted != str(VOID):
            raise UnknownName("class of pixels", wanted, names)
        out = {wanted if wanted in values else by_value.get(wanted, "")}
    kept = {name: value for name, value in values.items() if name not in out}
    if len(kept) < 2:
        raise DataError("fewer than two classes of pixels are left", received=", ".join(kept) or "none")
    return MaskCoder(tuple(kept), tuple(kept.values()), tuple(values[n] for n in names if n in out))


@dataclass(frozen=True)
class MaskCoder:
    """Masks with the index of each pixel's class; 255 where it does not count.

    Attributes:
        classes: the names of the classes that count.
        values: the value that each of them has in raw masks.
        ignored: raw values that do not count, beside 255.
    """

    kind: ClassVar[str] = "masks"

    classes: tuple[str, ...]
    values: tuple[int, ...]
    ignored: tuple[int, ...] = ()

    def apply(self, raw: Any) -> torch.Tensor:
        """Return class indices (N, H, W) uint8; `DataError` for a value that is not known."""
        masks = np.asarray(raw)
        table = np.full(_LEVELS, -1, np.int16)
        table[[VOID, *self.ignored]] = VOID
        table[list(self.values)] = np.arange(len(self.values))
        known = masks.ndim == 3 and masks.dtype.kind in "biu"
        coded = table[masks.astype(np.uint8)] if known else np.full(1, -1)
        if (coded < 0).any():
            unknown = np.unique(masks[coded < 0])[:6].tolist() if known else f"shape {masks.shape}"
            raise DataError(
                "the masks do not suit what was trained on",
                expected="masks (N, H, W) with the values " + ", ".join(map(str, self.values[:20])),
                received=str(unknown),
            )
        return torch.from_numpy(coded.astype(np.uint8))

    def invert(self, encoded: torch.Tensor) -> Array:
        """Return class indices as the values that raw masks have, uint8."""
        raw: Array = np.array(self.values, np.uint8)[encoded.numpy()]
        return raw

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {
            "classes": list(self.classes),
            "values": list(self.values),
            "ignored": list(self.ignored),
        }


@dataclass(frozen=True)
class InputCoder:
    """The inputs as targets, scaled as the inputs are.

    Attributes:
        peak: the range of the training rows' values, from the smallest to the largest.
    """

    kind: ClassVar[str] = "inputs"

    peak: float

    def to_state(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {"peak": self.peak}


def fit_inputs(dataset: Dataset, rows: Array) -> InputCoder:
    """Return the coder of a data set whose inputs are what is to be predicted."""
    values = np.asarray(dataset.targets)[rows]
    return InputCoder(float(np.nanmax(values)) - float(np.nanmin(values)) or 1.0)
