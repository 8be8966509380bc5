"""What has happened to a table in use is named: which column, by how much, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from preceptor.data import Column, Dataset, Table
from preceptor.data._assemble import assemble
from preceptor.data.shift import Reference, Shift, compare

N = 400
Values = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def houses() -> Dataset:
    draw = np.random.default_rng(1)
    columns = (
        Column("area", "number", draw.gamma(9, 12, N)),
        Column("degrees", "number", draw.normal(9, 4, N)),
        Column("grey", "number", draw.integers(0, 256, N).astype(float)),
        Column("rooms", "number", draw.integers(1, 7, N).astype(float)),
        Column("heating", "category", np.array(draw.choice(["gas", "oil", "pump"], N), dtype=object)),
    )
    return assemble(name="h", origin="h", kind="table", inputs=Table(columns), targets=draw.random(N))


@pytest.fixture(scope="module")
def kept(houses: Dataset) -> Reference:
    return Reference.fit(houses, np.arange(300))


def used(houses: Dataset, **changes: Callable[[Values], Values]) -> Table:
    """The last hundred rows, some columns of which are changed."""
    assert isinstance(houses.inputs, Table)
    rows = houses.inputs.take(np.arange(300, N)).columns
    made = [
        Column(c.name, c.kind, changes[c.name](c.values.copy())) if c.name in changes else c for c in rows
    ]
    return Table(tuple(made))


def seen(kept: Reference, table: Table) -> Shift:
    found = compare(kept, table)
    assert found is not None
    return found


def filled(share: float, value: Any) -> Callable[[Values], Values]:
    def change(values: Values) -> Values:
        values[: round(share * len(values))] = value
        return values

    return change


COLUMNS: dict[str, tuple[str, Callable[[Values], Values], str]] = {
    "a hundredfold": ("area", lambda x: x * 100, "multiplied by 100"),
    "a hundredth": ("area", lambda x: x / 100, "divided by 100"),
    "0 … 1 in place of 0 … 255": ("grey", lambda x: x / 255, "divided by 255"),
    "kilograms": ("area", lambda x: x * 0.45359237, "as pounds to kilograms"),
    "Fahrenheit": ("degrees", lambda x: x * 1.8 + 32, "as degrees Celsius to Fahrenheit"),
    "kelvin": ("degrees", lambda x: x + 273.15, "as degrees Celsius to kelvin"),
    "standardised": ("area", lambda x: (x - x.mean()) / x.std(), "standardised already"),
    "another sign": ("area", lambda x: -x, "with the other sign"),
    "shifted": ("degrees", lambda x: x + 6.5, "shifted by +"),
    "five times as large": ("area", lambda x: x * 5.2, "times training's"),
    "logarithms": ("area", np.log, "the logarithm of what it was"),
    "constant": ("area", filled(1.0, 70.0), "is 70 throughout"),
    "missing": ("area", filled(0.4, np.nan), "is missing in 40%, in training in 0%"),
    "a code for gaps": ("area", filled(0.3, -999.0), "30% are -999, which training did not have"),
    "a new category": ("heating", filled(0.5, "solar"), "values not seen in training ('solar') are 50%"),
    "another spelling": ("heating", lambda x: np.array([v.upper() for v in x], object), "is spelled"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_the_column_and_what_was_done_to_it_are_named(houses: Dataset, kept: Reference, case: str) -> None:
    name, change, said = COLUMNS[case]
    found = seen(kept, used(houses, **{name: change}))
    assert {one.name for one in found.moved} == {name}
    assert said in str(found)


def test_nothing_is_said_of_rows_like_those_of_training(houses: Dataset, kept: Reference) -> None:
    assert compare(kept, used(houses)) is None


def test_two_columns_exchanged(houses: Dataset, kept: Reference) -> None:
    table = used(houses)
    area, grey = table.column("area").values, table.column("grey").values
    found = seen(kept, used(houses, area=lambda _: grey, grey=lambda _: area))
    assert {one.name for one in found.moved} == {"area", "grey"}
    assert "columns in another order: area, grey" in str(found)


def test_a_whole_table_that_was_standardised(houses: Dataset, kept: Reference) -> None:
    numbers = ("area", "degrees", "grey", "rooms")
    found = seen(kept, used(houses, **dict.fromkeys(numbers, lambda x: (x - x.mean()) / x.std())))
    assert found.cause is not None
    assert found.cause.text.startswith("standardised already")


def test_what_has_no_known_cause_is_given_none(houses: Dataset, kept: Reference) -> None:
    draw = np.random.default_rng(1)
    found = seen(kept, used(houses, area=lambda x: np.where(draw.random(len(x)) < 0.5, 3.0, 400.0) + 0.1 * x))
    (moved,) = found.moved
    assert moved.cause == ""
    assert found.cause is None


def test_a_few_rows_tell_no_cause(houses: Dataset, kept: Reference) -> None:
    found = compare(kept, used(houses, area=lambda x: x * 100).take(np.arange(5)))
    assert found is None or all(one.cause == "" for one in found.moved)
