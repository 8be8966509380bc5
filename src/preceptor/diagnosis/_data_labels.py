"""Classes: how often each one came, and how often it was predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from preceptor.diagnosis.case import Case

__all__ = ["Classes", "classes", "skill"]


_ENOUGH, _MISSED = 32, 7


@dataclass(frozen=True)
class Classes:
    """Classes of a phase.

    Attributes:
        counts: how often each class was a target, over all looks.
        table: (class, prediction) → how often, at the latest looks; empty where that is not known, or where
            these were in its first two fifths.
    """

    counts: dict[int, int]
    table: dict[tuple[int, int], int]

    @property
    def seen(self) -> int:
        """How many targets there were."""
        return sum(self.counts.values())

    @property
    def shares(self) -> dict[int, float]:
        """The share of each class, the most frequent one first."""
        total = max(1, self.seen)
        ordered = sorted(self.counts.items(), key=lambda item: -item[1])
        return {label: count / total for label, count in ordered}

    @property
    def alike(self) -> float:
        """The chance that two targets drawn at random are equal: Σ_c n_c (n_c − 1) / (n (n − 1))."""
        n = self.seen
        return sum(c * (c - 1) for c in self.counts.values()) / (n * (n - 1)) if n > 1 else math.nan

    def beside(self, other: Classes) -> Classes:
        """Return these, with the other phase's predictions added to the latest ones."""
        table = dict(self.table)
        for pair, count in other.table.items():
            table[pair] = table.get(pair, 0) + count
        return Classes(self.counts, table)

    def late(self, label: int) -> int:
        """Return how often a class was a target at the latest looks."""
        return sum(count for (aim, _), count in self.table.items() if aim == label)

    def recall(self, label: int) -> float:
        """Return the share of a class that is predicted right at the latest looks; NaN without any."""
        late = self.late(label)
        return self.table.get((label, label), 0) / late if late else math.nan

    @property
    def skill(self) -> float:
        """How much better than the most frequent class: (a − p) / (1 − p); a = accuracy, p = its share.

        NaN for fewer than 32 predictions; but 0 where all are of one class, and seven were of others: one who
        knows half of those would miss all with a chance of 2⁻⁷.
        """
        total = sum(self.table.values())
        if total < _ENOUGH:
            given = {answer for _, answer in self.table}
            missed = sum(count for (aim, answer), count in self.table.items() if aim != answer)
            return 0.0 if len(given) == 1 and missed >= _MISSED else math.nan
        labels = {aim for aim, _ in self.table}
        most = max(self.late(label) for label in labels) / total
        accuracy = sum(count for (aim, given), count in self.table.items() if aim == given) / total
        return (accuracy - most) / (1 - most) if most < 1 else math.nan


def classes(case: Case, phase: str = "train") -> Classes:
    """Return the classes of a phase; empty where targets are none."""
    found = case.facts.get("classes")
    counts = found.get(phase) if isinstance(found, Mapping) else None
    known = case.facts.get("predictions")
    table = known.get(phase) if isinstance(known, Mapping) else None
    late = isinstance(table, Mapping) and table.get("since", -1) >= 0.4 * case.steps
    flat = table.get("counts", ()) if isinstance(table, Mapping) and late else ()
    return Classes(
        {int(label): int(count) for label, count in counts.items()} if isinstance(counts, Mapping) else {},
        {(int(a), int(p)): int(n) for a, p, n in zip(flat[::3], flat[1::3], flat[2::3], strict=False)},
    )


def skill(case: Case) -> float:
    """Return `Classes.skill` of training; NaN where predictions are not known."""
    return classes(case).skill
