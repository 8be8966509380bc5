"""What models were fed with, source by source, as facts of the watch tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preceptor.diagnosis.case import Case

__all__ = ["Columns", "Feed", "distinct_samples", "feeds", "space_bits", "training_feed", "typical_values"]

_Floats = NDArray[np.float64]
_REAL = 23.0  # bits of a float32 fraction


@dataclass(frozen=True)
class Columns:
    """Columns (channels) of an input over the looks at it; NaN where no element was finite.

    Attributes:
        of: how many there are; at most 64 of them are measured.
        count, bad: elements that were finite, and that were not, by column.
        mean, std, low, high: of the finite elements, by column.
    """

    of: int
    count: _Floats
    bad: _Floats
    mean: _Floats
    std: _Floats
    low: _Floats
    high: _Floats

    @property
    def size(self) -> _Floats:
        """Root mean square by column: √(μ² + σ²)."""
        size: _Floats = np.sqrt(self.mean**2 + self.std**2)
        return size

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Which columns vary."""
        return np.isfinite(self.std) & (self.std > 1e-6 * np.maximum(self.size, 1e-30)) & (self.std > 0)

    @property
    def offset(self) -> float:
        """How far the cloud of samples lies from the origin: ω = ‖μ‖ / √(Σⱼ σⱼ²), over columns that vary."""
        moving = self.moving
        spread = math.sqrt(float((self.std[moving] ** 2).sum()))
        return math.sqrt(float((self.mean[moving] ** 2).sum())) / spread if spread > 0 else math.nan


@dataclass(frozen=True)
class Feed:
    """One source of inputs.

    Attributes:
        key: its name, also among the fingerprints.
        phase: "train" or "evaluation".
        model: the number of the outermost module.
        where: for evaluations the user's line, and after "<" the one that called it.
        loader: the loader that gave the latest batch before.
        training: whether the module was in training mode.
        shape: of a sample.
        batch: samples in the largest batch.
        batches: how many batches were looked at.
        columns: None where there is one axis only.
    """

    key: str
    phase: str
    model: int
    where: str
    loader: str
    training: bool
    dtype: str
    shape: tuple[int, ...]
    batch: int
    batches: int
    columns: Columns | None

    @property
    def floating(self) -> bool:
        """Whether the inputs are floating numbers."""
        return self.dtype.startswith(("float", "bfloat"))

    @property
    def line(self) -> str:
        """The user's line, without the one above."""
        return self.where.partition("<")[0]


def feeds(case: Case, phase: str) -> list[Feed]:
    """Return the sources of a phase, in the order in which they were first seen."""
    found = case.facts.get("sources")
    rows = found.values() if isinstance(found, Mapping) else ()
    return [_feed(row) for row in rows if isinstance(row, Mapping) and row.get("phase") == phase]


def training_feed(case: Case) -> Feed | None:
    """Return the source that is trained from most."""
    return max(feeds(case, "train"), key=lambda feed: feed.batches, default=None)


def distinct_samples(case: Case, key: str = "train") -> float:
    """Estimate how many different samples a source holds, from how often the same came again.

    Of N samples, m drawn at random are d = N (1 − e^(−m/N)) different ones on average. Infinite where none
    came again; NaN where too few were seen to tell.
    """
    samples = case.record.samples
    if key not in samples.keys or samples.seen(key) < 16:
        return math.nan
    seen = float(samples.seen(key))
    _, kept, _ = samples.overlap(key, key)
    if kept >= samples.cap or seen <= kept:
        return math.inf if seen <= kept else math.nan
    low, high = float(kept), 1e9
    for _ in range(80):
        middle = math.sqrt(low * high)
        if middle * -math.expm1(-seen / middle) < kept:
            low = middle
        else:
            high = middle
    return low


def space_bits(case: Case) -> float:
    """Return Σⱼ bⱼ, how much tells inputs apart: bⱼ = log₂ kⱼ, kⱼ = values of column j among n samples.

    A column that has (nearly) as many values as there are samples is a measured quantity, of 23 bits. Where
    the sum is small (switches, short codes) equal inputs are no sign of anything. NaN where not known.
    """
    relation = case.facts.get("relation")
    found = relation.get("distinct") if isinstance(relation, Mapping) else None
    if not isinstance(found, list) or not found:
        return math.nan
    rows = int(relation["rows"]) if isinstance(relation, Mapping) else 0
    return float(sum(_REAL if k >= 0.9 * rows else math.log2(max(1, k)) for k in found))


def typical_values(case: Case) -> float:
    """Return how many different values the median column has among some samples; NaN where not known."""
    relation = case.facts.get("relation")
    found = relation.get("distinct") if isinstance(relation, Mapping) else None
    return float(np.median(found)) if isinstance(found, list) and found else math.nan


def _feed(row: Mapping[str, Any]) -> Feed:
    return Feed(
        str(row.get("key", "")),
        str(row.get("phase", "")),
        int(row.get("model", 0)),
        str(row.get("where", "")),
        str(row.get("loader", "")),
        bool(row.get("training", True)),
        str(row.get("dtype", "")),
        tuple(row.get("shape", ())),
        int(row.get("batch", 0)),
        int(row.get("batches", 0)),
        _columns(row.get("features")),
    )


def _columns(found: Any) -> Columns | None:
    if not isinstance(found, Mapping) or not found.get("mean"):
        return None
    arrays = [
        np.array([math.nan if v is None else v for v in found[name]], dtype=float)
        for name in ("count", "bad", "mean", "std", "min", "max")
    ]
    return Columns(int(found["of"]), *arrays)
