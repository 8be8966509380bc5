"""`Reference`: what is kept of training inputs, so that later ones can be compared with them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.data._dataset import Array, Dataset, Table, take
from preceptor.data._rows import Hashes, row_hashes
from preceptor.data.shift._summaries import Summaries, summarize
from preceptor.errors import CheckpointError
from preceptor.untrusted import understood

__all__ = ["QUANTILES", "Reference", "single"]

QUANTILES = 65
_MOST_ROWS = 20_000
_DIRECTIONS = 16
_CLIP = 5.0  # deviations: one odd number must not carry a combination of all
_SKETCH = 4096
_VALUES = 256  # of a category column


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of training inputs: small, and no example among them.

    Attributes:
        kind: images, vectors, table or tensors.
        n: how many examples they stand for.
        names: what is followed, D of them.
        mean, deviation: (D,), of the values that are there.
        missing: (D,), the share that is missing.
        quantiles: (D, 65), from the smallest to the largest value.
        bulk_mean, bulk_deviation: (B,), of the numbers that are combined.
        directions: (B, 16), random combinations of them.
        combined: (16, 65), quantiles of the combinations.
        counts: category column → value → how often it occurs, of n; "" stands for missing.
        pixels: mean and deviation of each channel or column of the raw array, (2, C).
        sketch: fingerprints of training examples, those below ``sketch_end``.
        sketch_end: 2⁶⁴ × the share of examples that the sketch holds.
    """

    kind: str
    n: int
    names: tuple[str, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    missing: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    bulk_mean: NDArray[np.float64]
    bulk_deviation: NDArray[np.float64]
    directions: NDArray[np.float64]
    combined: NDArray[np.float64]
    counts: Mapping[str, Mapping[str, int]]
    pixels: NDArray[np.float64]
    sketch: Hashes
    sketch_end: int

    @classmethod
    def fit(cls, dataset: Dataset, rows: Array) -> Reference:
        """Take the statistics of those rows, or of 20,000 of them.

        Example:
            >>> from preceptor.data import load
            >>> kept = Reference.fit(load("iris"), np.arange(150))
            >>> kept.names[0], kept.quantiles.shape
            ('sepal length (cm)', (4, 65))
        """
        seen = np.asarray(rows)[
            np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int))
        ]
        raw = take(dataset.inputs, seen)
        found = summarize(raw, dataset.kind, dataset.feature_names)
        present = ~np.isnan(found.values)
        bulk_mean, bulk_deviation = map(single, _moments(found.bulk))
        draw = np.random.default_rng(0).standard_normal((found.bulk.shape[1], _DIRECTIONS))
        directions = single(draw / np.sqrt(max(1, found.bulk.shape[1])))
        sketch, end = _sketched(row_hashes(take(dataset.inputs, rows)))
        mean, deviation = _moments(found.values)
        return cls(
            kind=dataset.kind,
            n=len(seen),
            names=found.names,
            mean=mean,
            deviation=deviation,
            missing=1 - present.mean(axis=0),
            quantiles=_quantiles(found.values),
            bulk_mean=bulk_mean,
            bulk_deviation=bulk_deviation,
            directions=directions,
            combined=_quantiles(_combined(found.bulk, bulk_mean, bulk_deviation, directions)),
            counts=_counts(raw),
            pixels=_pixels(raw),
            sketch=sketch,
            sketch_end=end,
        )

    def combinations(self, found: Summaries) -> NDArray[np.float64]:
        """Return the random combinations of other examples' numbers, (n, 16)."""
        return _combined(found.bulk, self.bulk_mean, self.bulk_deviation, self.directions)

    def trained_on(self, raw: Any) -> int:
        """Return about how many of these examples were trained on, by their fingerprints."""
        hashes = row_hashes(raw)
        known = hashes[hashes < np.uint64(min(self.sketch_end, 2**64 - 1))]
        if not len(known):
            return 0
        return round(len(hashes) * float(np.isin(known, self.sketch).mean()))

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return tensors and texts, as a safetensors file holds them."""
        arrays = {key: value for key, value in vars(self).items() if isinstance(value, np.ndarray)}
        tensors = {
            key: torch.from_numpy(value.view(np.int64) if key == "sketch" else value.astype(np.float32))
            for key, value in arrays.items()
        }
        plain = {key: value for key, value in vars(self).items() if key not in arrays}
        return tensors, {"reference": json.dumps(plain)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> Reference:
        """Build again what `to_tensors` returned.

        Raises:
            CheckpointError: something is missing, or of another form.
        """
        what = "the statistics of training inputs"
        with understood(what, "what a run saves in reference.safetensors", CheckpointError):
            plain = json.loads(texts["reference"])
            arrays: dict[str, Any] = {
                key: value.numpy().view(np.uint64) if key == "sketch" else value.double().numpy()
                for key, value in tensors.items()
            }
            return cls(**{**plain, "names": tuple(plain["names"])}, **arrays)


def single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers as they are kept: rounded to single precision."""
    return values.astype(np.float32).astype(np.float64)


def _moments(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of what is there; 0 where nothing is."""
    there = ~np.isnan(values)
    count = np.maximum(1, there.sum(axis=0))
    mean = np.where(there, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(there, values - mean, 0.0)).sum(axis=0) / count)
    return mean, spread


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    levels = np.linspace(0, 1, QUANTILES)
    found = np.zeros((values.shape[1], QUANTILES))
    for j, column in enumerate(values.T):
        present = column[~np.isnan(column)]
        if len(present):
            found[j] = np.quantile(present, levels)
    return single(found)


def _combined(
    bulk: NDArray[np.float64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> NDArray[np.float64]:
    scaled = np.where(deviation > 0, (bulk - mean) / np.where(deviation > 0, deviation, 1.0), 0.0)
    combined: NDArray[np.float64] = np.clip(np.nan_to_num(scaled, nan=0.0), -_CLIP, _CLIP) @ directions
    return single(np.round(combined, 4))  # equal examples stay equal, whatever the order of the sum


def _counts(raw: Any) -> dict[str, dict[str, int]]:
    if not isinstance(raw, Table):
        return {}
    return {
        column.name: dict(
            Counter("" if v is None else v for v in column.values.tolist()).most_common(_VALUES)
        )
        for column in raw.columns
        if column.kind == "category"
    }


def _pixels(raw: Any) -> NDArray[np.float64]:
    if isinstance(raw, Table) or raw.ndim < 2:
        return np.zeros((2, 0))
    array = np.asarray(raw)
    parts = array.reshape(len(array), array.shape[1], -1)
    return np.stack([parts.mean(axis=(0, 2), dtype=np.float64), parts.std(axis=(0, 2), dtype=np.float64)])


def _sketched(hashes: Hashes) -> tuple[Hashes, int]:
    """Return the smallest fingerprints, at most 4,096, and below which bound all are kept."""
    distinct = np.unique(hashes)
    if len(distinct) <= _SKETCH:
        return distinct, 2**64
    return distinct[:_SKETCH], int(distinct[_SKETCH])
