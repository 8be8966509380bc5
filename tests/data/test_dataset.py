from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from preceptor.data import Column, Table, load
from preceptor.data._dataset import fingerprint, take
from preceptor.errors import DataError

TABLE = Table(
    (
        Column("n", "number", np.array([1.0, np.nan, 3.0])),
        Column("c", "category", np.array(["a", None, "b"], dtype=object)),
    )
)
Y = np.array([0, 1, 0])


def test_columns_by_name() -> None:
    assert len(TABLE) == 3
    assert len(Table(())) == 0
    assert TABLE.column("c").missing.tolist() == [False, True, False]
    with pytest.raises(DataError, match=r"no column 'd'(.|\n)*n, c"):
        TABLE.column("d")


@pytest.mark.parametrize("inputs", [TABLE, np.arange(6.0).reshape(3, 2), torch.arange(6).reshape(3, 2)])
def test_take_keeps_the_kind(inputs: object) -> None:
    rows = np.array([2, 0])
    taken = take(inputs, rows)
    assert type(taken) is type(inputs)
    assert len(taken) == 2
    if isinstance(taken, Table):
        assert taken.column("c").values.tolist() == ["b", "a"]
    else:
        np.testing.assert_array_equal(np.asarray(taken), np.asarray(inputs)[rows])


def changed(name: str, position: int, value: object) -> Table:
    columns = []
    for column in TABLE.columns:
        values = column.values.copy()
        if column.name == name:
            values[position] = value
        columns.append(replace(column, values=values))
    return Table(tuple(columns))


def test_fingerprint_sees_every_change() -> None:
    x = np.zeros((3, 2))
    prints = [
        fingerprint(TABLE, Y),
        fingerprint(changed("n", 0, 2.0), Y),
        fingerprint(changed("c", 1, "b"), Y),
        fingerprint(Table(TABLE.columns[::-1]), Y),
        fingerprint(TABLE, Y.astype(float)),
        fingerprint(x, Y),
        fingerprint(x.astype(np.float32), Y),
        fingerprint(x.reshape(3, 1, 2), Y),
        fingerprint(x, np.array([0, 0, 1])),
        fingerprint(x, np.array(["0", "1", "0"])),
    ]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 64 for p in prints)


def test_fingerprint_does_not_see_memory_layout() -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert fingerprint(x, Y) == fingerprint(np.asfortranarray(x), Y) == fingerprint(torch.from_numpy(x), Y)
    assert fingerprint(TABLE, Y) == fingerprint(changed("n", 0, 1.0), Y)


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros((1200, 3, 8, 6), np.uint8), np.arange(1200) % 2, "1,200 images 8×6×3 · 2 classes"),
        (np.zeros((4, 5)), [0.5, 1.0, 2.0, 3.0], "4 rows × 5 columns · numbers to predict"),
        (np.zeros((4, 5, 2)), [0, 1, 1, 0], "4 examples 5×2 · 2 classes"),
    ],
)
def test_text(x: np.ndarray, y: object, text: str) -> None:
    assert load((x, y)).text == text
