"""Standardisation per channel or feature, and inputs that pass through as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._arrays import as_inputs
from preceptor.data._dataset import Array
from preceptor.errors import DataError

__all__ = ["PassThrough", "Scaler", "moments", "standardised"]

_BLOCK = 1 << 18  # numbers converted at a time: a block in float64 stays in the processor's cache
_NOISE = 64 * np.finfo(np.float64).eps  # a deviation this small beside the mean is rounding, not variation


def moments(values: Array, rows: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation over those rows, one for each entry of axis 1, in float64.

    With blocks of n_b values, mean m_b and sum of squares M_b about it, merged one after the other:
    δ = m_b − m, m ← m + δ·n_b/(n + n_b), M ← M + M_b + δ²·n·n_b/(n + n_b), and σ = √(M/n); σ is 0 where
    the values do not vary beyond rounding. Chan, Golub, LeVeque, "Algorithms for computing the sample
    variance", 1983.

    Arguments:
        values: (N, C, …).
        rows: row indices, at least one.

    Example:
        >>> moments(np.array([[1.0], [3.0], [99.0]]), np.array([0, 1]))
        (array([2.]), array([1.]))
    """
    channels = values.shape[1]
    mean, squares, seen = np.zeros(channels), np.zeros(channels), 0
    for block_rows in _blocks(rows, values.size // len(values)):
        block = values[block_rows].astype(np.float64).reshape(len(block_rows), channels, -1)
        count = block.shape[0] * block.shape[2]
        block_mean = block.mean(axis=(0, 2))
        block -= block_mean[:, None]
        delta = block_mean - mean
        squares += np.square(block).sum(axis=(0, 2)) + delta**2 * (seen * count / (seen + count))
        mean += delta * (count / (seen + count))
        seen += count
    deviation = np.sqrt(squares / seen)
    return mean, np.where(deviation <= _NOISE * np.abs(mean), 0.0, deviation)


def _moments_of_known(values: Array, rows: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of what is not NaN; of an entry that never is known, 0 and 0."""
    known = values[rows].astype(np.float64).reshape(len(rows), values.shape[1], -1)
    count = (~np.isnan(known)).sum(axis=(0, 2))
    mean = np.nansum(known, axis=(0, 2)) / np.maximum(count, 1)
    squares = np.nansum(np.square(known - mean[:, None]), axis=(0, 2))
    deviation = np.sqrt(squares / np.maximum(count, 1))
    return mean, np.where(deviation <= _NOISE * np.abs(mean), 0.0, deviation)


def standardised(values: Array, mean: Array, deviation: Array) -> Array:
    """Return (values − mean)/σ, and 0 where σ is 0, in float64."""
    result: Array = (values - mean) / np.where(deviation > 0, deviation, np.inf)
    return result


def _blocks(rows: Array, width: int) -> Iterator[Array]:
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


@dataclass(frozen=True, eq=False)
class Scaler:
    """Images and vectors as float32: standardised per channel or feature, or with their values kept.

    Attributes:
        kind: ``"images"`` or ``"vectors"``.
        shape: of one example.
        names: of the features, for vectors; may be empty.
        mean: (C,) or None where nothing is scaled.
        deviation: (C,), 0 for entries that are constant in training.
        gaps: NaN stands for a missing value, and stays.
    """

    kind: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    mean: Array | None
    deviation: Array | None
    gaps: bool = False

    @classmethod
    def fit(
        cls,
        kind: str,
        values: Array,
        rows: Array,
        names: tuple[str, ...],
        *,
        standard: bool,
        gaps: bool = False,
    ) -> Scaler:
        """Take mean and deviation from those rows.

        Raises:
            DataError: values so large that their squares overflow.
        """
        shape = tuple(int(size) for size in values.shape[1:])
        if not standard:
            return cls(kind, shape, names, None, None, gaps)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = (_moments_of_known if gaps else moments)(values, rows)
        if not np.isfinite(deviation).all():
            raise DataError("the inputs are too large to standardise", expected="values below 1e150")
        return cls(kind, shape, names, mean, deviation, gaps)

    def apply(self, raw: Any) -> torch.Tensor:
        """Return float32 inputs, (N, *shape); `DataError` where the shape is another or values overflow."""
        images = self.kind == "images"
        values = raw if isinstance(raw, np.ndarray) else as_inputs(raw, images=images, gaps=self.gaps).values
        if isinstance(values, torch.Tensor):
            values = values.numpy()
        if values.shape[1:] != self.shape:
            raise DataError(
                "the inputs have another shape than those trained on",
                expected=f"N×{'×'.join(map(str, self.shape))}",
                received="×".join(map(str, values.shape)),
            )
        out = np.empty(values.shape, dtype=np.float32)
        axes = (-1,) + (1,) * (len(self.shape) - 1)
        with np.errstate(over="ignore"):
            for rows in _blocks(np.arange(len(values)), values.size // max(1, len(values))):
                block = values[rows[0] : rows[-1] + 1]
                if self.mean is not None and self.deviation is not None:
                    block = standardised(block, self.mean.reshape(axes), self.deviation.reshape(axes))
                out[rows[0] : rows[-1] + 1] = block
        if values.dtype.kind == "f" and not (np.isfinite(out) | (self.gaps & np.isnan(out))).all():
            raise DataError("inputs are NaN, infinite or too large for float32", expected="values below 3e38")
        return torch.from_numpy(out)

    def restore(self, x: torch.Tensor) -> Array:
        """Return scaled inputs in the numbers of the data, as float64; what was constant has its value."""
        values: Array = x.detach().cpu().double().numpy()
        if self.mean is None or self.deviation is None:
            return values
        axes = (-1,) + (1,) * (x.ndim - 2)
        restored: Array = values * self.deviation.reshape(axes) + self.mean.reshape(axes)
        return restored

    def describe(self) -> list[str]:
        """Say what was fitted."""
        if self.deviation is None:
            return ["inputs are used with their values as they are"]
        unit = "channel" if self.kind == "images" else "feature"
        constant = int((self.deviation == 0).sum())
        note = f"; {constant} constant in training, set to 0" if constant else ""
        return [f"inputs are standardised per {unit}, by the training rows{note}"]

    def to_state(self) -> dict[str, Any]:
        """Return plain lists and numbers; JSON keeps them exactly."""
        return {
            "shape": list(self.shape),
            "names": list(self.names),
            "mean": None if self.mean is None else self.mean.tolist(),
            "deviation": None if self.deviation is None else self.deviation.tolist(),
            **({"gaps": True} if self.gaps else {}),
        }

    @classmethod
    def from_state(cls, kind: str, state: dict[str, Any]) -> Scaler:
        """Build again what `to_state` described."""
        mean, deviation = (
            None if state[k] is None else np.array(state[k], np.float64) for k in ("mean", "deviation")
        )
        gaps = bool(state.get("gaps", False))
        return cls(kind, tuple(state["shape"]), tuple(state["names"]), mean, deviation, gaps)


@dataclass(frozen=True)
class PassThrough:
    """Tensors that are none of images, vectors or tables: integers are kept, floats become float32."""

    shape: tuple[int, ...]
    kind: str = "tensors"
    names: tuple[str, ...] = ()
    gaps: ClassVar[bool] = False

    def apply(self, raw: Any) -> torch.Tensor:
        """Return the tensor as it is, or as float32."""
        x = raw if isinstance(raw, torch.Tensor) else torch.as_tensor(np.asarray(raw))
        return x.float() if x.is_floating_point() else x

    def describe(self) -> list[str]:
        """Say that nothing was fitted."""
        return ["inputs are passed through as they are"]

    def to_state(self) -> dict[str, Any]:
        """Return the shape, which is all there is."""
        return {"shape": list(self.shape)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PassThrough:
        """Build again what `to_state` described."""
        return cls(tuple(state["shape"]))
