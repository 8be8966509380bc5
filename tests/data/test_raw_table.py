from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preceptor.data import Column, load
from preceptor.data._raw_table import looks_like_identifier, target_values
from preceptor.errors import DataError, UnknownName


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    path = tmp_path / "houses.csv"
    rows = [f"{i},h{i},{i * 1.5},{'?' if i % 7 == 0 else 'ab'[i % 2]},5,,{i * 100}" for i in range(30)]
    rows[4] = rows[4].rpartition(",")[0] + ",NA"
    path.write_text("id,name,area,kind,level,void,price\n" + "\n".join(rows) + "\n")
    return path


def test_table_from_a_file(houses: Path) -> None:
    data = load(str(houses), target="price")
    assert (data.name, data.kind, data.origin, data.target_kind) == (
        "houses",
        "table",
        str(houses),
        "numbers",
    )
    assert len(data) == 29
    assert data.feature_names == ("id", "name", "area", "kind", "level")
    assert data.targets.dtype == np.int64
    assert data.text == "29 rows × 5 columns · numbers to predict"


def test_notes_tell_what_was_found(houses: Path) -> None:
    notes = "\n".join(load(houses, target="price").notes)
    for part in (
        "rows left out: 1, as 'price' is missing (first in line 6)",
        "columns left out, as they are empty: void",
        "missing values: kind 5",
        "columns with a single value, which tell nothing: level",
        "columns that look like identifiers, different in every row: id, name",
        "29 different whole numbers, to be predicted as numbers",
    ):
        assert part in notes


def test_no_target_lists_the_columns(houses: Path) -> None:
    with pytest.raises(DataError, match=r"one of id, name, area(.|\n)*--target 'price'"):
        load(houses)


def test_wrong_target_suggests_the_nearest(houses: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown column 'prise'(.|\n)*did you mean 'price'\?"):
        load(houses, target="prise")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y\n1\n2\n", "nothing to predict from"),
        ("x,y\n,1\n,2\n", "nothing to predict from"),
        ("x,y\n1,\n2,?\n", "missing in every row"),
        ("x,y\n1,a\n2,a\n", r"only one class(.|\n)*a in all 2 rows"),
        ("x,y\n1,0.5\n2,0.5\n", r"only one value(.|\n)*0.5 in all 2 rows"),
        ("x,y\n" + "\n".join(f"{i},t{i}" for i in range(40)), r"every target is different(.|\n)*40"),
    ],
)
def test_nothing_to_learn(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        load(tmp_path / "t.csv", target="y")


def number(name: str, values: object) -> Column:
    return Column(name, "number", np.asarray(values, dtype=float))


def texts(values: list[str | None]) -> Column:
    return Column("c", "category", np.array(values, dtype=object))


@pytest.mark.parametrize(
    ("column", "answer"),
    [
        (number("x", np.arange(20)), True),
        (number("x", np.arange(20)[::-1] + 5), True),
        (number("x", np.arange(19)), False),
        (number("x", np.arange(20) * 3), False),
        (number("id", np.arange(20) * 3), True),
        (number("CustomerId", np.arange(20) * 3), True),
        (number("paid", np.arange(20) * 3), False),
        (number("id", np.arange(20) * 0.1), False),
        (texts([str(i) for i in range(20)]), True),
        (texts([str(i) for i in range(20)] + [None]), True),
        (texts([str(i) for i in range(20)] + ["3"]), False),
    ],
)
def test_identifiers(column: Column, answer: bool) -> None:
    assert bool(looks_like_identifier(column)) is answer


def test_target_values_keep_gaps() -> None:
    assert target_values(number("y", [1.0, np.nan])).dtype == np.float64
    assert target_values(number("y", [1.0, 2.0])).dtype == np.int64
    assert target_values(number("y", [1.0, 2.5])).dtype == np.float64
    assert target_values(number("y", [1.0, 2.0**60])).dtype == np.float64
    assert target_values(texts(["a", None])).tolist() == ["a", None]
    assert target_values(texts(["a", "b"])).dtype.kind == "U"
