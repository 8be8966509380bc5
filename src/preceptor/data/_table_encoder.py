"""Tables as float32 features: numbers standardised, gaps filled and marked, categories one-hot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from preceptor.data._dataset import Array, Column, Table
from preceptor.data._raw_table import looks_like_identifier
from preceptor.data._scaler import moments, standardised
from preceptor.errors import DataError

__all__ = ["TableEncoder"]

_MOST = 256  # one-hot columns for one category column: its most frequent values


@dataclass(frozen=True)
class NumberCode:
    """How a number column is encoded: filled with the mean, then scaled; σ is 0 where it is constant."""

    name: str
    mean: float
    deviation: float | None  # None: the values are kept
    marked: bool  # has an indicator column, 1 where the value is missing

    @property
    def features(self) -> list[str]:
        return [self.name] + [f"{self.name}=missing"] * self.marked

    def write(self, column: Column, out: Array) -> None:
        filled = np.where(column.missing, self.mean, column.values)
        if self.deviation is not None:
            filled = standardised(filled, np.float64(self.mean), np.float64(self.deviation))
        out[:, 0] = filled
        if self.marked:
            out[:, 1] = column.missing


@dataclass(frozen=True)
class CategoryCode:
    """How a category column is encoded: one column for each value of the training rows, in sorted order."""

    name: str
    values: tuple[str, ...]
    marked: bool

    @property
    def features(self) -> list[str]:
        return [f"{self.name}={value}" for value in self.values] + [f"{self.name}=missing"] * self.marked

    def write(self, column: Column, out: Array) -> None:
        index = {value: i for i, value in enumerate(self.values)}
        if self.marked:
            index[None] = len(self.values)  # type: ignore[index]  # None stands for missing in the column too
        places = np.array([index.get(value, -1) for value in column.values], dtype=np.int64)
        known = np.flatnonzero(places >= 0)
        out[:] = 0.0
        out[known, places[known]] = 1.0


@dataclass(frozen=True)
class TableEncoder:
    """The codes of all columns, in the table's order.

    Attributes:
        codes: one for each input column; identifiers have no features.
    """

    codes: tuple[NumberCode | CategoryCode, ...]
    kind: str = "table"
    gaps: ClassVar[bool] = False

    @classmethod
    def fit(cls, table: Table, rows: Array, *, standard: bool) -> TableEncoder:
        """Take means, deviations and the categories' values from those rows.

        Raises:
            DataError: no column is left, or values are so large that their squares overflow.
        """
        encoder = cls(tuple(_fitted(column, standard) for column in table.take(rows).columns))
        if encoder.shape == (0,):
            raise DataError(
                "no column can be learnt from",
                expected="numbers, or categories that repeat",
                received="only identifiers, different in every row: " + ", ".join(table.names),
            )
        return encoder

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that go in."""
        return tuple(code.name for code in self.codes)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that come out, such as ``"age"``, ``"age=missing"``, ``"sex=Male"``."""
        return tuple(feature for code in self.codes for feature in code.features)

    @property
    def deviation(self) -> Array:
        """What number columns are divided by, in their order; 0 for what is constant."""
        return np.array([c.deviation or 0.0 for c in self.codes if isinstance(c, NumberCode)])

    @property
    def shape(self) -> tuple[int, ...]:
        """(number of features,)."""
        return (len(self.features),)

    def kind_of(self, name: str) -> str:
        """Return whether a column holds numbers or categories."""
        code = next(code for code in self.codes if code.name == name)
        return "number" if isinstance(code, NumberCode) else "category"

    def apply(self, raw: Any) -> torch.Tensor:
        """Return float32 features, (N, F); the table's columns are found by name.

        Raises:
            DataError: not a table, a column is absent or of the other kind, or values overflow float32.
        """
        if not isinstance(raw, Table):
            raise DataError(
                "a table is needed", expected="columns " + ", ".join(self.names), received=str(type(raw))
            )
        out = np.empty((len(raw), *self.shape), dtype=np.float32)
        start = 0
        with np.errstate(over="ignore"):
            for code in self.codes:
                column = raw.column(code.name)
                if column.kind != self.kind_of(code.name):
                    wanted = {"number": "numbers", "category": "categories"}[self.kind_of(code.name)]
                    raise DataError(
                        f"column {code.name!r} is of another kind", expected=wanted, received=column.kind
                    )
                width = len(code.features)
                code.write(column, out[:, start : start + width])
                start += width
        if not np.isfinite(out).all():
            feature = self.features[int((~np.isfinite(out)).any(axis=0).argmax())]
            raise DataError(
                f"column {feature!r} has values too large for float32", expected="values below 3e38"
            )
        return torch.from_numpy(out)

    def unseen(self, table: Table) -> dict[str, list[str]]:
        """Return the category values of each column that training rows did not have."""
        found = {}
        for code in self.codes:
            if isinstance(code, CategoryCode) and code.values:
                new = set(table.column(code.name).values.tolist()) - {*code.values, None}
                if new:
                    found[code.name] = sorted(new)
        return found

    def describe(self) -> list[str]:
        """Say what was fitted, one line for each kind of step."""
        numbers = [code for code in self.codes if isinstance(code, NumberCode)]
        categories = [code for code in self.codes if isinstance(code, CategoryCode)]
        scaled = any(code.deviation is not None for code in numbers)
        marked = [code.name for code in self.codes if code.marked]
        idle = [code.name for code in categories if not code.features]
        width = sum(len(code.values) for code in categories)
        lines = [f"number columns: {len(numbers)}{', standardised by the training rows' if scaled else ''}"]
        if categories:
            lines.append(
                f"category columns: {len(categories)}, one-hot in {width} features; unseen values are all 0"
            )
        if marked:
            lines.append("missing values are marked by a feature of their own: " + ", ".join(marked))
        if any(code.marked for code in numbers):
            lines.append("missing numbers are filled with the training mean")
        if idle:
            lines.append("not used, as different in every row: " + ", ".join(idle))
        return lines

    def to_state(self) -> dict[str, Any]:
        """Return plain lists and numbers; JSON keeps them exactly."""
        return {"columns": [_code_state(code) for code in self.codes]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableEncoder:
        """Build again what `to_state` described."""
        return cls(tuple(_code_from(item) for item in state["columns"]))


def _fitted(column: Column, standard: bool) -> NumberCode | CategoryCode:
    present = column.values[~column.missing]
    marked = bool(column.missing.any())
    if column.kind == "number":
        return _fitted_number(column.name, present, marked, standard)
    if looks_like_identifier(column):
        return CategoryCode(column.name, (), marked=False)
    frequent = sorted(Counter(present.tolist()).items(), key=lambda item: (-item[1], item[0]))[:_MOST]
    return CategoryCode(column.name, tuple(sorted(value for value, _ in frequent)), marked)


def _fitted_number(name: str, present: Array, marked: bool, standard: bool) -> NumberCode:
    if not len(present):
        return NumberCode(name, 0.0, 0.0 if standard else None, marked)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = moments(present[:, None], np.arange(len(present)))
    if not np.isfinite(mean[0]) or (standard and not np.isfinite(deviation[0])):
        raise DataError(f"column {name!r} is too large to standardise", expected="values below 1e150")
    return NumberCode(name, float(mean[0]), float(deviation[0]) if standard else None, marked)


def _code_state(code: NumberCode | CategoryCode) -> dict[str, Any]:
    if isinstance(code, CategoryCode):
        return {"name": code.name, "values": list(code.values), "marked": code.marked}
    return {"name": code.name, "mean": code.mean, "deviation": code.deviation, "marked": code.marked}


def _code_from(item: dict[str, Any]) -> NumberCode | CategoryCode:
    if "values" in item:
        return CategoryCode(item["name"], tuple(item["values"]), item["marked"])
    return NumberCode(item["name"], item["mean"], item["deviation"], item["marked"])
