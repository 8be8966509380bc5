from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preceptor.data._cells import MISSING, is_number, make_column
from preceptor.errors import DataError


def row(i: int) -> str:
    return f"line {i + 2}"


def test_numbers_with_gaps() -> None:
    column = make_column("x", ["1", " 2.5 ", "-3e2", "", "NA", "NaN", "null", "?", "None"], row)
    assert column.kind == "number"
    np.testing.assert_array_equal(column.values, [1, 2.5, -300] + [np.nan] * 6)
    assert column.missing.tolist() == [False] * 3 + [True] * 6


def test_categories_with_gaps() -> None:
    column = make_column("x", ["red", " blue", "?", "3"], row)
    assert column.kind == "category"
    assert column.values.tolist() == ["red", "blue", None, "3"]
    assert column.missing.tolist() == [False, False, True, False]


def test_one_text_among_numbers_is_an_error_that_says_where() -> None:
    cells = [str(i) for i in range(30)]
    cells[17] = "twelve"
    cells[3] = ""
    with pytest.raises(DataError) as caught:
        make_column("age", cells, row)
    message = str(caught.value)
    for part in ("'age'", "'twelve' in line 19", "28 of 29", "leave it empty"):
        assert part in message


@pytest.mark.parametrize(("texts", "fails"), [(10, True), (11, False)])
def test_the_border_lies_at_ninety_percent(texts: int, fails: bool) -> None:
    cells = [str(i) for i in range(100 - texts)] + ["n/k"] * texts
    if fails:
        with pytest.raises(DataError, match="text among its numbers"):
            make_column("x", cells, row)
    else:
        assert make_column("x", cells, row).kind == "category"


def test_a_known_kind_decides() -> None:
    assert make_column("x", ["1", "2"], row, kind="category").values.tolist() == ["1", "2"]
    with pytest.raises(DataError, match="'b' in line 3"):
        make_column("x", ["1", "b", "c"], row, kind="number")


def test_empty_column_is_numbers_without_values() -> None:
    assert np.isnan(make_column("x", ["", "NA"], row).values).all()


def test_decimal_commas() -> None:
    cells = ["1,5", "2", "-0,25", "NA"]
    np.testing.assert_array_equal(
        make_column("x", cells, row, decimal_comma=True).values, [1.5, 2.0, -0.25, np.nan]
    )
    assert make_column("x", cells, row).kind == "category"
    assert make_column("x", ["1,5", "a,b"], row, decimal_comma=True).kind == "category"


def test_infinity_is_refused() -> None:
    with pytest.raises(DataError, match=r"'x' holds 1 infinite values(.|\n)*line 3"):
        make_column("x", ["1", "-inf"], row)


def test_what_python_would_read_as_a_number() -> None:
    assert [is_number(c) for c in ("1_000", "0x10", "1e5", ".5", "1.", "+2", "1 2")] == [
        False, False, True, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.slow
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_come_back_to_the_bit(values: list[float | None]) -> None:
    cells = ["" if v is None else repr(v) for v in values]
    expected = np.array([np.nan if v is None else v for v in values])
    np.testing.assert_array_equal(make_column("x", cells, row).values, expected)


@pytest.mark.slow
@given(st.lists(st.text(), min_size=1))
def test_categories_are_the_stripped_text(cells: list[str]) -> None:
    column = make_column("x", cells, row, kind="category")
    expected = [None if c.strip().lower() in MISSING else c.strip() for c in cells]
    assert column.values.tolist() == expected
