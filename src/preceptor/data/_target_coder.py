"""Targets as tensors: class indices, or numbers in units of their standard deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._arrays import as_targets, target_array
from preceptor.data._dataset import Array, Dataset
from preceptor.data._scaler import moments
from preceptor.data._targets import clean, codes
from preceptor.errors import DataError

__all__ = ["ClassCoder", "NumberCoder", "fit_targets"]


@dataclass(frozen=True)
class ClassCoder:
    """Classes as the indices of their names."""

    kind: ClassVar[str] = "categories"

    classes: tuple[str, ...]

    def apply(self, raw: Any) -> torch.Tensor:
        """Return int64 indices, (N,); `DataError` for a class that is not known."""
        return torch.from_numpy(codes(clean(as_targets(raw)), self.classes))

    def to_state(self) -> dict[str, Any]:
        """Return plain lists."""
        return {"classes": list(self.classes)}


@dataclass(frozen=True, eq=False)
class NumberCoder:
    """Numbers as (y − offset)/scale; offset 0 and scale 1 leave them as they are."""

    kind: ClassVar[str] = "numbers"

    offset: Array
    scale: Array

    def apply(self, raw: Any) -> torch.Tensor:
        """Return float32 numbers, (N, D); `DataError` for text or another D."""
        values = clean(target_array(raw))
        values = values[:, None] if values.ndim == 1 else values
        if values.dtype.kind not in "if" or values.shape[1] != len(self.offset):
            raise DataError(
                "the targets do not suit what was trained on",
                expected=f"{len(self.offset)} numbers for each example",
                received=f"dtype {values.dtype}, shape {values.shape}",
            )
        with np.errstate(over="ignore"):
            scaled = ((values - self.offset) / self.scale).astype(np.float32)
        if not np.isfinite(scaled).all():
            raise DataError("targets are too large for float32", expected="values below 3e38")
        return torch.from_numpy(scaled)

    def invert(self, encoded: torch.Tensor) -> torch.Tensor:
        """Return encoded·scale + offset, in the tensor's own dtype and on its device."""
        scale, offset = (
            torch.as_tensor(v, dtype=encoded.dtype, device=encoded.device) for v in (self.scale, self.offset)
        )
        return encoded * scale + offset

    def to_state(self) -> dict[str, Any]:
        """Return plain lists; JSON keeps the numbers exactly."""
        return {"offset": self.offset.tolist(), "scale": self.scale.tolist()}


def fit_targets(dataset: Dataset, rows: Array, *, scaled: bool) -> ClassCoder | NumberCoder:
    """Make the coder that suits the data's targets; offset and scale come from those rows alone.

    Raises:
        DataError: numbers so large that their squares overflow.
    """
    if dataset.target_kind == "categories":
        return ClassCoder(dataset.classes)
    values = dataset.targets.reshape(len(dataset.targets), -1)
    if not scaled:
        return NumberCoder(np.zeros(values.shape[1]), np.ones(values.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = moments(values, rows)
    if not np.isfinite(deviation).all():
        raise DataError("the targets are too large to standardise", expected="values below 1e150")
    return NumberCoder(mean, np.where(deviation > 0, deviation, 1.0))
