"""In which order samples arrive: how alike the targets of one batch are, beside those of all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from preceptor.diagnosis._data_labels import classes
from preceptor.diagnosis.case import Case

__all__ = ["Order", "order", "sorted_share"]

_LOOKS = 4


@dataclass(frozen=True)
class Order:
    """How alike targets within a batch are.

    Attributes:
        within: the chance that two targets of one batch are equal, the mean over looks.
        overall: that of two targets of any looks.
        looks: how many batches that is of.
        error: standard error of ``within``.
    """

    within: float
    overall: float
    looks: int
    error: float

    @property
    def excess(self) -> float:
        """η = (within − overall) / (1 − overall): 0 for shuffled samples, 1 for batches of one class each."""
        return (self.within - self.overall) / (1 - self.overall) if self.overall < 1 else math.nan

    @property
    def z(self) -> float:
        """The difference, within − overall, in standard errors."""
        off = self.within - self.overall
        return off / self.error if self.error > 0 else math.copysign(math.inf, off) if off else 0.0


def order(case: Case) -> Order | None:
    """Return how alike the targets of a training batch are; None without single labels, or with few looks.

    Of several losses the first one's targets count.
    """
    rows = [
        row
        for row in case.record.tables.get("batches", [])
        if row.get("what") == "target"
        and row.get("phase") == "train"
        and row.get("equal_if_shuffled") is not None
    ]
    sites = [(row.get("function"), row.get("where")) for row in rows]
    values = np.array(
        [float(row["equal_if_shuffled"]) for row, site in zip(rows, sites, strict=True) if site == sites[0]]
    )
    known, counted = classes(case), len(set(sites)) == 1
    if len(values) < _LOOKS or not counted or len(known.counts) < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Order(float(values.mean()), known.alike, len(values), error)


def sorted_share(case: Case) -> float:
    """Return η of `Order`, 0 where it is not known."""
    found = order(case)
    return found.excess if found is not None and math.isfinite(found.excess) else 0.0
