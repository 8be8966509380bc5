"""A table as it was opened: column names, and a reader that makes each column when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from preceptor.data._assemble import assemble
from preceptor.data._dataset import Array, Column, Dataset, Table
from preceptor.errors import DataError, UnknownName

__all__ = ["RawTable", "checked_names", "looks_like_identifier", "target_columns", "target_values"]

_ENOUGH = 20  # fewer rows than this tell nothing about a column


@dataclass(frozen=True, eq=False)
class RawTable:
    """Names, number of rows, and ``read(name, kind)``, which makes one column.

    Attributes:
        names: the columns' names, all different.
        rows: how many rows there are.
        read: makes the column of that name; its kind is inferred where None is given.
        row: says where a row stands, such as ``"line 7"``.
        notes: what was noticed on opening.
    """

    names: tuple[str, ...]
    rows: int
    read: Callable[[str, str | None], Column]
    row: Callable[[int], str]
    notes: tuple[str, ...] = ()

    def dataset(self, target: str | None, *, name: str, origin: str, labelled: bool = True) -> Dataset:
        """Return all columns but the target as inputs; rows whose target is missing are left out.

        Several columns of numbers, their names with commas between them, are a target as one.

        Raises:
            DataError: no target was named where one is needed, ``labelled``; there is no other column, or a
                column cannot be read.
            UnknownName: the table has no column of the target's name.
        """
        if target is None and not labelled:
            return self._assembled(np.arange(self.rows), None, None, self.notes, name=name, origin=origin)
        if target is None:
            raise DataError(
                "a table needs a target: the column to predict",
                expected="one of " + ", ".join(self.names),
                received="none",
                hint=f"target={self.names[-1]!r} (on the command line: --target {self.names[-1]!r})",
            )
        columns = self._columns(target)
        missing = np.any([column.missing for column in columns], axis=0)
        kept = np.flatnonzero(~missing)
        if len(kept) == 0:
            raise DataError(f"the target {target!r} is missing in every row", expected="values to learn from")
        notes = list(self.notes)
        if len(kept) < self.rows:
            first = self.row(int(missing.argmax()))
            notes.append(
                f"rows left out: {self.rows - len(kept):,}, as {target!r} is missing (first in {first})"
            )
        parts = [target_values(Column(c.name, c.kind, c.values[kept])) for c in columns]
        targets = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
        return self._assembled(kept, targets, target, notes, name=name, origin=origin)

    def _columns(self, target: str) -> list[Column]:
        """Return the target's column, or its columns, which are numbers."""
        if target in self.names:
            return [self.read(target, None)]
        names = [name.strip() for name in target.split(",")]
        absent = [name for name in names if name not in self.names]
        if absent:
            raise UnknownName("column", absent[0] if len(names) > 1 else target, self.names)
        return [self.read(name, "number") for name in names]

    def with_targets(self, targets: Array, target_name: str | None, *, name: str) -> Dataset:
        """Return all columns as inputs, with targets from elsewhere."""
        if len(targets) != self.rows:
            raise DataError(
                "inputs and targets differ in length",
                received=f"{self.rows:,} inputs, {len(targets):,} targets",
            )
        return self._assembled(
            np.arange(self.rows), targets, target_name, self.notes, name=name, origin="arrays"
        )

    def _assembled(
        self,
        rows: Array,
        targets: Array | None,
        target: str | None,
        notes: Sequence[str],
        *,
        name: str,
        origin: str,
    ) -> Dataset:
        goal = target_columns(target, self.names)
        table = Table(tuple(self.read(column, None) for column in self.names if column not in goal)).take(
            rows
        )
        empty = [column.name for column in table.columns if column.missing.all()]
        table = Table(tuple(column for column in table.columns if not column.missing.all()))
        if not table.columns:
            raise DataError(
                "nothing to predict from",
                expected=f"at least one column with values besides {target!r}",
                received=", ".join(self.names),
            )
        left_out = [f"columns left out, as they are empty: {_listed(empty)}"] if empty else []
        return assemble(
            name=name,
            origin=origin,
            kind="table",
            inputs=table,
            targets=targets,
            target_name=target,
            feature_names=table.names,
            notes=(*notes, *left_out, *_column_notes(table)),
        )


def target_columns(target: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a target's columns, of those that a table has.

    Example:
        >>> target_columns("a, b", ["a", "b", "c"]), target_columns("a, b", ["a, b", "c"])
        (('a', 'b'), ('a, b',))
    """
    if target is None or target in names:
        return () if target is None else (target,)
    parts = tuple(part.strip() for part in target.split(","))
    return parts if all(part in names for part in parts) else ()


def target_values(column: Column) -> Array:
    """Return a column as raw targets: str, int64 where every number is whole, else float64.

    Missing ones stay what they are, None or NaN.
    """
    values = column.values
    if column.missing.any():
        return values
    if column.kind == "category":
        return values.astype(np.str_)
    whole = (values == np.floor(values)).all() and (np.abs(values) < 2**53).all()
    return values.astype(np.int64) if whole else values


def checked_names(header: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the column names, stripped; unnamed ones are numbered.

    Raises:
        DataError: a name occurs twice, or there are no columns.

    Example:
        >>> checked_names(["", " price"], "houses.csv")
        ('column 1', 'price')
    """
    names = tuple(cell.strip() or f"column {i}" for i, cell in enumerate(header, 1))
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f"{where}: a column name occurs twice",
            expected="every column with a name of its own",
            received=", ".join(map(repr, twice)),
            hint="rename one of them",
        )
    if not names:
        raise DataError(f"{where} has no columns", expected="a target and at least one more column")
    return names


def looks_like_identifier(column: Column) -> bool:
    """Tell whether a column only numbers or names its rows.

    Text does when no value repeats; whole numbers do when, besides, they run without a gap or the
    column is called an id. Fewer than 20 values tell nothing.
    """
    present = column.values[~column.missing]
    if column.kind == "number" and not (present == np.floor(present)).all():
        return False
    if len(present) < _ENOUGH or len(set(present.tolist())) < len(present):
        return False
    if column.kind == "category":
        return True
    name = column.name.lower()
    named = name in ("id", "index", "column 1") or name.endswith(("_id", " id")) or column.name.endswith("Id")
    return named or present.max() - present.min() + 1 == len(present)


def _column_notes(table: Table) -> list[str]:
    notes = []
    gaps = [f"{c.name} {int(c.missing.sum()):,}" for c in table.columns if c.missing.any()]
    if gaps:
        notes.append(f"missing values: {_listed(gaps)}")
    if len(table) < 2:
        return notes
    constant = [c.name for c in table.columns if _constant(c)]
    if constant:
        notes.append(f"columns with a single value, which tell nothing: {_listed(constant)}")
    names = [c.name for c in table.columns if looks_like_identifier(c)]
    if names:
        notes.append(f"columns that look like identifiers, different in every row: {_listed(names)}")
    return notes


def _constant(column: Column) -> bool:
    present = column.values[~column.missing]
    return len(present) > 0 and bool((present == present[0]).all())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
