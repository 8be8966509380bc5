"""`audit`: every check on one data set and its split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from preceptor.data._dataset import Dataset, Table
from preceptor.data._split import Split
from preceptor.data.audit import (
    columns,
    duplicates,
    images,
    labels,
    leakage,
    outliers,
    pairs,
    parts,
    reading,
    texts,
)
from preceptor.data.audit._remark import Check, Remark
from preceptor.data.audit._subject import Subject
from preceptor.data.audit._texts import Side, words_of
from preceptor.errors import CheckpointError
from preceptor.untrusted import understood

__all__ = ["CHECKS", "Audit", "examine"]

_MARKS = {"warning": "!", "info": "·", "skipped": "–"}

CHECKS: tuple[Check, ...] = tuple(
    check
    for family in (reading, columns, outliers, images, texts, pairs, duplicates, labels, leakage, parts)
    for check in family.CHECKS
)


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        about: the data and the split, in a line.
        facts: what the data are like: label and text.
        remarks: check → what it says; empty where it found nothing, as most should.
        seconds: how long it took.
    """

    about: str
    facts: tuple[tuple[str, str], ...]
    remarks: Mapping[str, tuple[Remark, ...]]
    seconds: float

    @property
    def flaws(self) -> list[tuple[str, Remark]]:
        """The warnings, each with the name of its check."""
        return [(name, one) for name, said in self.remarks.items() for one in said if one.level == "warning"]

    @property
    def clean(self) -> bool:
        """Whether there is nothing to warn of."""
        return not self.flaws

    def __str__(self) -> str:
        found = [f"  {label + ' ':<9}{text}" for label, text in self.facts]
        for check in CHECKS:
            if check.name in self.remarks:
                said = self.remarks[check.name]
                found += [line for one in said for line in _lines(one)] or [f"  ✓ {check.clean}"]
        n = len(self.flaws)
        verdict = "nothing to warn of" if not n else f"{n} warning{'s' if n > 1 else ''}"
        return "\n".join(
            [self.about, *found, f"{verdict} ({len(self.remarks)} checks, {self.seconds:.1f} s)"]
        )

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        remarks = {name: [one.to_plain() for one in said] for name, said in self.remarks.items()}
        return {"about": self.about, "facts": self.facts, "remarks": remarks, "seconds": self.seconds}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Audit:
        """Build again what `to_plain` returned.

        Raises:
            CheckpointError: something else was given.
        """
        with understood("the saved audit", "what a run saves in audit.json", CheckpointError):
            remarks = {
                str(name): tuple(Remark.from_plain(one) for one in said)
                for name, said in plain["remarks"].items()
            }
            facts = tuple((str(label), str(text)) for label, text in plain["facts"])
            return cls(str(plain["about"]), facts, remarks, float(plain["seconds"]))


def _lines(remark: Remark) -> list[str]:
    lines = [f"  {_MARKS[remark.level]} {remark.text}"]
    if remark.level == "warning":
        if len(remark.rows) > 1:
            shown = ", ".join(map(str, remark.rows[:8])) + (", …" if len(remark.rows) > 8 else "")
            lines.append(f"      rows {shown}")
        lines += [f"      try: {remark.remedy}"] if remark.remedy else []
    return lines


def examine(
    dataset: Dataset,
    split: Split,
    *,
    scale: str = "standard",
    quick: bool = False,
    level: str = "auto",
    lower: bool = False,
    reading: tuple[Remark, ...] | None = None,
) -> Audit:
    """Look a data set and its split over.

    Arguments:
        dataset: the raw data.
        split: which rows are for what.
        scale: what training does with the inputs, ``"standard"`` or ``"none"``.
        quick: leave out what compares every example with every other, or trains.
        level: what training makes symbols of, where the data are texts: ``"char"``, ``"word"``, …
        lower: whether it makes capitals small.
        reading: what was seen while the examples were read, where a data set of one's own yields them.

    Example:
        >>> from preceptor.data import load, split
        >>> iris = load("iris")
        >>> examine(iris, split(iris), quick=True).clean
        True
    """
    began = perf_counter()
    subject = Subject(dataset, split, scale, level, lower, reading)
    wanted = [check for check in CHECKS if check.suits(subject) and (check.quick or not quick)]
    remarks = {check.name: tuple(check.look(subject)) for check in wanted}
    return Audit(f"{dataset.text} · split {split.text}", _facts(subject), remarks, perf_counter() - began)


def _facts(subject: Subject) -> tuple[tuple[str, str], ...]:
    inputs = subject.dataset.inputs
    if subject.sides:
        return tuple((side.name, _of_texts(side)) for side in subject.sides)
    if isinstance(inputs, Table):
        kinds = [column.kind for column in inputs.columns]
        gaps = sum(int(column.missing.sum()) for column in inputs.columns)
        types = f"{kinds.count('number')} number columns, {kinds.count('category')} category columns"
        told = f"{types}; {gaps:,} of {len(inputs) * len(kinds):,} values missing"
    else:
        dtype = str(inputs.dtype).removeprefix("torch.")
        values = np.asarray(inputs)
        told = f"{dtype}, {values.min():g} … {values.max():g}" if values.size else dtype
    facts = [("values", told)]
    spread = subject.numbers.values
    if spread.shape[1] and not isinstance(inputs, Table) and subject.dataset.kind == "vectors":
        facts.append(
            ("spreads", f"{spread.std(axis=0).min():.3g} … {spread.std(axis=0).max():.3g} by column")
        )
    return tuple(facts)


def _of_texts(side: Side) -> str:
    counts = np.array([len(words_of(text)) for text in side.texts])
    words = {word for text in side.texts for word in words_of(text)}
    middle, most = np.quantile(counts, [0.5, 0.95])
    usual = f"{middle:.0f} words in the middle, 95 % up to {most:.0f}, at most {counts.max()}"
    return f"{usual}; {len(words):,} different words"
