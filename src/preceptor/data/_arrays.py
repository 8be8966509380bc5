"""Arrays and tensors: checked, and told apart as images, vectors, or tensors that are passed through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from preceptor.data._dataset import Array
from preceptor.errors import DataError

__all__ = ["Inputs", "as_inputs", "as_targets", "target_array"]

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Raw inputs with their kind (``"images"``, ``"vectors"`` or ``"tensors"``) and what was noticed."""

    kind: str
    values: Array | torch.Tensor
    notes: tuple[str, ...] = ()


def as_inputs(x: Any, *, images: bool = False, named: str = "inputs", gaps: bool = False) -> Inputs:
    """Tell what an array or tensor of examples is.

    N×D numbers are vectors; N×C×H×W, N×H×W×C and N×H×W of uint8 are images, the last two brought to
    N×C×H×W. Torch tensors of integers with two axes are indices, and are passed through like anything else.

    Arguments:
        x: array, tensor, or nested lists; the first axis counts the examples.
        images: the source calls them images, so that N×H×W floats are images too.
        named: how messages call them.
        gaps: NaN stands for a missing value, and is kept.

    Raises:
        DataError: text, Python objects, complex numbers, no axis, NaN or infinity.

    Example:
        >>> as_inputs(np.zeros((5, 8, 8, 3), np.uint8)).values.shape
        (5, 3, 8, 8)
    """
    values, indices = _plain(x, named)
    if values.ndim == 0 or values.dtype.kind not in "biuf" or 0 in values.shape[1:]:
        raise DataError(
            f"{named} are unusable",
            expected="numbers, with one row for each example",
            received=f"dtype {values.dtype}, shape {values.shape}",
            hint="a table with text belongs in a CSV file or a DataFrame"
            if values.dtype.kind in "US"
            else None,
        )
    _check_finite(values, named, gaps=gaps)
    if values.ndim == 1:
        return Inputs("vectors", values[:, None])
    if values.ndim == 2 and not indices:
        return Inputs("vectors", values)
    if values.ndim == 3 and (images or values.dtype == np.uint8):
        return Inputs("images", values[:, None])
    if values.ndim == 4:
        second, last = values.shape[1], values.shape[3]
        if last in _CHANNELS and second not in (*_CHANNELS, 2):
            note = f"images of shape {values.shape[1:]} were brought to {(last, *values.shape[1:3])}"
            return Inputs("images", np.ascontiguousarray(values.transpose(0, 3, 1, 2)), (note,))
        return Inputs("images", values)
    shape = "×".join(map(str, values.shape[1:]))
    note = f"inputs of shape N×{shape} ({values.dtype}) are passed through unscaled"
    return Inputs("tensors", torch.from_numpy(_for_torch(values)), (note,))


def target_array(y: Any) -> Array:
    """Return targets as an array, off the device and out of the autograd graph where they are a tensor."""
    if isinstance(y, torch.Tensor):
        return _from_tensor(y)
    try:
        return np.asarray(y)
    except ValueError as error:
        raise DataError("targets do not form an array", received=str(error)) from error


def as_targets(y: Any) -> Array:
    """Return targets as an array: class indices where every row marks one class with 1, else unchanged.

    Example:
        >>> as_targets([[0, 1], [1, 0]])
        array([1, 0])
    """
    values = target_array(y)
    marks = values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "biuf"
    if marks and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        indices: Array = values.argmax(axis=1)
        return indices
    return values


def _plain(x: Any, named: str) -> tuple[Array, bool]:
    """Return a native NumPy array, and whether it was a torch tensor of indices."""
    if isinstance(x, torch.Tensor):
        return _from_tensor(x), x.dtype in (torch.int64, torch.int32)
    try:
        values = np.asarray(x)
    except ValueError as error:
        raise DataError(
            f"{named} do not form an array",
            expected="examples of one shape",
            received=str(error),
            hint="pad or crop them to one shape, or give a DataLoader of your own",
        ) from error
    if values.dtype == object:
        raise DataError(
            f"{named} are an array of Python objects",
            expected="numbers in a plain array",
            received=f"dtype object, shape {values.shape}",
            hint="np.stack examples of one shape; a table with text belongs in a CSV file or a DataFrame",
        )
    return (values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))), False


def _from_tensor(x: torch.Tensor) -> Array:
    if x.layout != torch.strided:
        raise DataError("sparse tensors cannot be used", expected="a dense tensor", received=str(x.layout))
    dense = x.detach().cpu()
    array: Array = (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    return array


def _check_finite(values: Array, named: str, *, gaps: bool) -> None:
    if values.dtype.kind != "f":
        return
    finite = np.isfinite(values)
    if gaps:
        finite |= np.isnan(values)
    if not finite.all():
        first = tuple(int(i) for i in np.unravel_index(int(finite.argmin()), values.shape))
        raise DataError(
            f"{named} hold {int(finite.size - finite.sum()):,} values that are NaN or infinite",
            expected="finite numbers",
            received=f"{values[first]} at index {first}",
            hint="remove those rows; missing values of a CSV file or DataFrame are filled in; "
            "or --augment missing-inputs",
        )


def _for_torch(values: Array) -> Array:
    """Return a contiguous copy or view whose type torch computes with: floats as float32, integers kept."""
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
    elif values.dtype.kind == "u" and values.dtype != np.uint8:
        values = values.astype(np.int64)
    values = np.ascontiguousarray(values)
    return values if values.flags.writeable else values.copy()
