from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from preceptor.data import load
from preceptor.data._frames import is_frame, read_frame, read_parquet
from preceptor.errors import DataError, ExtraMissing

FRAME = pd.DataFrame(
    {
        "int": [1, 2, 3],
        "float": [0.5, np.nan, 1.5],
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "bool": [True, False, True],
        "text": ["a", None, "b"],
        "category": pd.Categorical(["1", "2", "1"]),
        "digits": ["1", "2", "NA"],
    }
)


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("int", "number", [1, 2, 3]),
        ("float", "number", [0.5, np.nan, 1.5]),
        ("nullable", "number", [1, np.nan, 3]),
        ("bool", "category", ["True", "False", "True"]),
        ("text", "category", ["a", None, "b"]),
        ("category", "category", ["1", "2", "1"]),
        ("digits", "number", [1, 2, np.nan]),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_column_types(tmp_path: Path, name: str, kind: str, values: list[object], stored: bool) -> None:
    if stored:
        FRAME.to_parquet(tmp_path / "t.parquet")
    column = (read_parquet(tmp_path / "t.parquet") if stored else read_frame(FRAME)).read(name, None)
    assert column.kind == kind
    if kind == "number":
        np.testing.assert_array_equal(column.values, np.array(values, float))
    else:
        assert column.values.tolist() == values


def test_mixed_columns_are_categories() -> None:
    frame = pd.DataFrame({"mixed": [1, "a", None]})
    assert read_frame(frame).read("mixed", None).values.tolist() == ["1", "a", None]


def test_categorical_numbers_are_categories() -> None:
    frame = pd.DataFrame({"code": pd.Categorical([1, 2, 1])})
    assert read_frame(frame).read("code", None).values.tolist() == ["1", "2", "1"]


def test_numbers_as_the_categories_they_were_in_training() -> None:
    frame = pd.DataFrame({"code": [3.0, 2.5, np.nan]})
    assert read_frame(frame).read("code", "category").values.tolist() == ["3", "2.5", None]


def test_is_frame() -> None:
    assert is_frame(FRAME)
    assert not is_frame(FRAME["int"])
    assert not is_frame("DataFrame")


def test_load_frame_with_target() -> None:
    data = load(pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": ["a", "b", "a"]}, index=[7, 7, 9]), target="y")
    assert (data.name, data.kind, data.origin, data.target_name) == ("data", "table", "arrays", "y")
    assert data.classes == ("a", "b")


def test_load_frame_beside_a_series() -> None:
    data = load((FRAME[["int", "float"]], pd.Series(["a", "b", "a"], name="label")))
    assert data.feature_names == ("int", "float")
    assert data.target_name == "label"
    assert data.targets.tolist() == ["a", "b", "a"]
    with pytest.raises(DataError, match=r"differ in length(.|\n)*3 inputs, 2 targets"):
        load((FRAME, [1, 2]))


def test_frame_and_csv_agree(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, 2.5, np.nan], "c": ["u", None, "v"], "y": ["a", "b", "a"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    prints = {
        load(s, target="y").fingerprint for s in (frame, tmp_path / "t.csv", str(tmp_path / "t.parquet"))
    }
    assert len(prints) == 1


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"x": []}), "is empty"),
        (pd.DataFrame(), "has no columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "occurs twice"),
    ],
)
def test_unusable_frames(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_frame(frame)


@pytest.mark.parametrize(("values", "says"), [([1.0, np.inf], "infinite"), ([1j, 2j], "complex")])
def test_unusable_columns(values: list[complex], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_frame(pd.DataFrame({"x": values})).read("x", None)


def test_damaged_parquet(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    for damaged in (content[:100], b"", b"no parquet at all", content[: len(content) // 2] + content[-8:]):
        (tmp_path / "t.parquet").write_bytes(damaged)
        with pytest.raises(DataError, match=r"cannot read .* as Parquet"):
            read_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="no file"):
        read_parquet(tmp_path / "t.parquett")


@pytest.mark.parametrize("absent", ["pandas", "pyarrow"])
def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ExtraMissing, match=r"preceptor\[tables\]"):
        load(tmp_path / "t.parquet", target="bool")
