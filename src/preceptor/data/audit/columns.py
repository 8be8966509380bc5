"""Checks of columns: missing values, constant, duplicated and mixed ones, identifiers, spellings, scales."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from preceptor.data._cells import is_number
from preceptor.data._raw_table import looks_like_identifier
from preceptor.data.audit._remark import Check, Remark, listed, share
from preceptor.data.audit._subject import Subject

__all__ = ["CHECKS"]

_MOSTLY = 0.5  # of a column's values missing: what is left says little
_MIXED = 0.1  # of a column's cells numbers, and of them text
_APART = 100.0  # between the spreads of two columns: a rate that suits one is far off for the other
_OFF = 10.0  # means or spreads beyond which inputs are not scaled
_TABLE, _COLUMNS = ("table",), ("table", "vectors")
_NUMBERS = (*_COLUMNS, "images", "tensors")
_SAME = 1 - 1e-9  # correlation from which on one column is the other in another unit


def missing(subject: Subject) -> Iterator[Remark]:
    """Columns with gaps; a warning where more than half of a column is missing."""
    gaps = {column.name: float(column.missing.mean()) for column in subject.columns if column.missing.any()}
    mostly = [name for name, part in gaps.items() if part > _MOSTLY]
    if mostly:
        yield Remark(
            "warning",
            f"more than half is missing of {listed([f'{n} ({share(gaps[n])})' for n in mostly])}",
            "leave the column out, or find out why it is empty",
            columns=tuple(mostly),
            evidence=gaps,
        )
    others = [f"{name} {share(part)}" for name, part in gaps.items() if name not in mostly]
    if others:
        yield Remark(
            "info",
            f"missing values: {listed(others)}",
            "they are filled with the training mean and marked by a feature of their own",
            columns=tuple(name for name in gaps if name not in mostly),
            evidence=gaps,
        )


def constant(subject: Subject) -> Iterator[Remark]:
    """Columns, or channels of images, with a single value in the training part."""
    train = subject.part_of[subject.sample] == 0
    dataset = subject.dataset
    if dataset.kind == "images" and isinstance(dataset.inputs, np.ndarray):
        rows = dataset.inputs[subject.sample[train]]
        names = [f"channel {c}" for c in range(rows.shape[1]) if (rows[:, c] == rows[0, c, 0, 0]).all()]
    else:
        values = subject.numbers.values[train]
        names = [n for n, column in zip(subject.numbers.names, values.T, strict=True) if _single(column)]
        names += [name for name, coded in subject.codes if len(np.unique(coded[train])) == 1]
    if names:
        yield Remark(
            "warning",
            f"with a single value in training, which tells nothing: {listed(names)}",
            "leave them out; if they should vary, look how they were gathered",
            columns=tuple(names),
        )


def duplicated(subject: Subject) -> Iterator[Remark]:
    """Columns that are equal, or the same in another unit: |r| > 1 − 10⁻⁹."""
    pairs = [*_equal_pairs(subject.codes), *_linear_pairs(subject)]
    if pairs:
        yield Remark(
            "warning",
            "columns that say the same: " + listed([f"{a} and {b}" for a, b in pairs]),
            "keep one of each: the other adds nothing, and shares its weight",
            columns=tuple(dict.fromkeys(name for pair in pairs for name in pair)),
        )


def _equal_pairs(columns: Iterable[tuple[str, np.ndarray]]) -> list[tuple[str, str]]:
    seen: dict[bytes, str] = {}
    pairs = []
    for name, values in columns:
        _, coded = np.unique(values, return_inverse=True)
        first: dict[int, int] = {}
        renamed = [first.setdefault(code, len(first)) for code in coded.tolist()]  # whatever they are called
        key = np.array(renamed).tobytes()
        if len(first) > 1 and key in seen:
            pairs.append((seen[key], name))
        seen.setdefault(key, name)
    return pairs


def _linear_pairs(subject: Subject) -> list[tuple[str, str]]:
    values, names = subject.numbers
    whole = [
        j for j in range(values.shape[1]) if not np.isnan(values[:, j]).any() and not _single(values[:, j])
    ]
    if len(whole) < 2 or len(values) < 10:
        return []
    x = values[:, whole] - values[:, whole].mean(axis=0)
    length = np.sqrt(np.square(x).sum(axis=0))
    unit = x / np.where(length > 0, length, 1.0)
    same = np.argwhere(np.triu(np.abs(unit.T @ unit) > _SAME, k=1))
    return [(names[whole[i]], names[whole[j]]) for i, j in same]


def _single(column: np.ndarray) -> bool:
    present = column[~np.isnan(column)]
    return len(present) > 0 and bool((present == present[0]).all())


def identifiers(subject: Subject) -> Iterator[Remark]:
    """Columns that number or name the rows."""
    names = [c.name for c in subject.columns if looks_like_identifier(c)]
    if names:
        yield Remark(
            "warning",
            f"different in every row, as identifiers are: {listed(names)}",
            "leave them out: a number of a row says nothing of the next one",
            columns=tuple(names),
        )


def mixed(subject: Subject) -> Iterator[Remark]:
    """Category columns in which part of the cells are numbers and part are text."""
    found = {}
    for column in subject.columns:
        if column.kind == "category":
            present = [value for value in column.values.tolist() if value is not None]
            part = sum(map(is_number, present)) / max(1, len(present))
            if _MIXED <= part <= 1 - _MIXED:
                found[column.name] = part
    if found:
        yield Remark(
            "warning",
            "numbers and text in one column, read as categories: "
            + listed([f"{name} ({share(part)} numbers)" for name, part in found.items()]),
            "one kind a column; unknown values as empty cells",
            columns=tuple(found),
            evidence=found,
        )


def spellings(subject: Subject) -> Iterator[Remark]:
    """Categories or classes that differ in case and spaces alone."""
    named = {
        column.name: set(column.values.tolist()) - {None}
        for column in subject.columns
        if column.kind != "number"
    }
    named[subject.dataset.target_name or "the target"] = set(subject.dataset.classes)
    found = {name: variants for name, values in named.items() if (variants := _variants(values))}
    if found:
        yield Remark(
            "warning",
            "the same value in several spellings: "
            + listed([f"{name}: {' = '.join(map(repr, groups[0]))}" for name, groups in found.items()]),
            "bring them to one spelling, or they are learnt as different values",
            columns=tuple(found),
        )


def _variants(values: set[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for value in sorted(values):
        groups["".join(value.casefold().split())].append(value)
    return [group for group in groups.values() if len(group) > 1]


def unscaled(subject: Subject) -> Iterator[Remark]:
    """Inputs far from zero mean and unit spread, where training leaves them as they are."""
    values = subject.numbers.values[subject.part_of[subject.sample] == 0]
    if subject.scale != "none" or not values.size:
        return
    with np.errstate(invalid="ignore"):
        mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    varies = deviation > 0
    if not varies.any():
        return
    ratio = float(deviation[varies].max() / deviation[varies].min())
    largest = float(max(np.abs(mean[varies]).max(), deviation[varies].max()))
    apart = ratio > _APART and subject.dataset.kind != "images"
    if apart or largest > _OFF:
        yield Remark(
            "warning",
            f"inputs are not scaled, and training leaves them so: means and deviations up to {largest:.3g}"
            + (f", columns' spreads differ {ratio:.3g}-fold" if apart else ""),
            "standardise them: data.scale=standard"
            if subject.reading is None
            else "standardise them where they are read, by mean and deviation of the training part",
            evidence={"largest": largest, "ratio": ratio},
        )


CHECKS = (
    Check("missing-values", "no values are missing", missing, kinds=_TABLE),
    Check("constant-columns", "every column, or channel, varies", constant),
    Check("duplicate-columns", "no column repeats another", duplicated, kinds=_COLUMNS),
    Check("identifier-columns", "no column merely numbers the rows", identifiers, kinds=_TABLE),
    Check("mixed-types", "every column is of one type", mixed, kinds=_TABLE),
    Check("spellings", "every value has one spelling", spellings, kinds=(*_NUMBERS, "tokens")),
    Check("unscaled-inputs", "inputs are scaled, or will be", unscaled),
)
