from __future__ import annotations

import numpy as np
import pytest

from preceptor.data import Column, Table
from preceptor.data._table_encoder import TableEncoder
from preceptor.errors import DataError

NAN = np.nan


def number(name: str, *values: float) -> Column:
    return Column(name, "number", np.array(values, float))


def texts(name: str, *values: str | None) -> Column:
    return Column(name, "category", np.array(values, dtype=object))


TRAIN = Table(
    (
        number("age", 10, 30, NAN, 20),
        number("level", 5, 5, 5, 5),
        texts("sex", "m", "f", "m", "m"),
        texts("town", "b", None, "a", "b"),
    )
)
NEW = Table(
    (
        texts("town", "z", None, "b"),
        number("level", 7, 5, NAN),
        number("age", 20, NAN, 30),
        texts("sex", "f", None, "x"),
    )
)
FEATURES = ("age", "age=missing", "level", "sex=f", "sex=m", "town=a", "town=b", "town=missing")
S = float(np.std([10, 30, 20]))


@pytest.fixture
def encoder() -> TableEncoder:
    return TableEncoder.fit(TRAIN, np.arange(4), standard=True)


def test_features_of_the_training_rows(encoder: TableEncoder) -> None:
    assert encoder.features == FEATURES
    assert encoder.shape == (8,)
    expected = [
        [-10 / S, 0, 0, 0, 1, 0, 1, 0],
        [10 / S, 0, 0, 1, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0, 1, 0],
    ]
    np.testing.assert_array_equal(encoder.apply(TRAIN).numpy(), np.array(expected, np.float32))


def test_new_rows_by_name(encoder: TableEncoder) -> None:
    expected = [
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 1],
        [10 / S, 0, 0, 0, 0, 0, 1, 0],
    ]
    np.testing.assert_array_equal(encoder.apply(NEW).numpy(), np.array(expected, np.float32))
    assert encoder.unseen(NEW) == {"sex": ["x"], "town": ["z"]}
    assert encoder.unseen(TRAIN) == {}


def test_scale_none_still_encodes_and_fills() -> None:
    rows = TableEncoder.fit(TRAIN, np.arange(4), standard=False).apply(TRAIN).numpy()
    assert rows[:, 0].tolist() == [10, 30, 20, 20]
    assert rows[:, 2].tolist() == [5, 5, 5, 5]
    assert rows[:, 3:5].tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]


def test_only_training_rows_count() -> None:
    encoder = TableEncoder.fit(TRAIN, np.array([0, 3]), standard=True)
    assert encoder.features == ("age", "level", "sex=m", "town=b")
    np.testing.assert_array_equal(encoder.apply(TRAIN)[:, 0].numpy(), np.float32([-1, 3, 0, 1]))


def test_a_column_without_values_in_training() -> None:
    table = Table((number("a", NAN, NAN, 3), texts("b", None, None, "u"), number("c", 1, 2, 3)))
    encoder = TableEncoder.fit(table, np.array([0, 1]), standard=True)
    assert encoder.features == ("a", "a=missing", "b=missing", "c")
    assert encoder.apply(table)[:, :3].tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 0]]


def test_identifiers_are_not_encoded() -> None:
    names = texts("name", *(f"n{i}" for i in range(25)))
    table = Table((names, number("x", *range(25))))
    encoder = TableEncoder.fit(table, np.arange(25), standard=True)
    assert encoder.features == ("x",)
    assert encoder.unseen(table) == {}
    assert "not used, as different in every row: name" in encoder.describe()
    with pytest.raises(DataError, match=r"no column can be learnt from(.|\n)*name"):
        TableEncoder.fit(Table((names,)), np.arange(25), standard=True)


def test_the_most_frequent_values_are_kept() -> None:
    values = [f"v{i:03d}" for i in range(300)] + [f"v{i:03d}" for i in range(44, 300)]
    encoder = TableEncoder.fit(Table((texts("c", *values),)), np.arange(len(values)), standard=True)
    assert encoder.features == tuple(f"c=v{i:03d}" for i in range(44, 300))


def test_state_round_trip(encoder: TableEncoder) -> None:
    assert TableEncoder.from_state(encoder.to_state()) == encoder


def test_describe(encoder: TableEncoder) -> None:
    assert encoder.describe() == [
        "number columns: 2, standardised by the training rows",
        "category columns: 2, one-hot in 4 features; unseen values are all 0",
        "missing values are marked by a feature of their own: age, town",
        "missing numbers are filled with the training mean",
    ]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (np.zeros((2, 4)), r"a table is needed(.|\n)*age, level, sex, town"),
        (Table(TRAIN.columns[1:]), "no column 'age'"),
        (Table((texts("age", "a"), *TRAIN.columns[1:])), r"'age' is of another kind(.|\n)*numbers"),
        (Table((number("age", 1e300, 1, 1, 1), *TRAIN.columns[1:])), "'age' has values too large"),
    ],
)
def test_unsuitable_tables(encoder: TableEncoder, raw: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        encoder.apply(raw)


@pytest.mark.parametrize(
    ("values", "standard"), [((1e200, -1e200), True), ((1.7e308, 1.7e308, 1.7e308), False)]
)
def test_too_large_to_fit(values: tuple[float, ...], standard: bool) -> None:
    with pytest.raises(DataError, match="'x' is too large"):
        TableEncoder.fit(Table((number("x", *values),)), np.arange(len(values)), standard=standard)
