from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from preceptor.data import load
from preceptor.errors import ConfigError, DataError, PreceptorError, UnknownName

X, Y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 3


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        [X, Y],
        (torch.from_numpy(X), torch.from_numpy(Y)),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        (X.tolist(), Y.tolist()),
        (X, np.eye(3)[Y]),
        (X, Y[:, None].astype(float)),
    ],
)
def test_arrays_in_every_form(source: object) -> None:
    data = load(source)
    assert (data.name, data.kind, data.origin, data.classes) == ("data", "vectors", "arrays", ("0", "1", "2"))
    assert data.feature_names == ("x0", "x1", "x2")
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.targets, Y)


def test_a_dataset_is_taken_as_it_is() -> None:
    data = load((X, Y), name="mine")
    assert data.name == "mine"
    assert load(data) is data


def test_several_numbers_to_predict() -> None:
    data = load((X, X[:, :2]))
    assert (data.target_kind, data.targets.shape) == ("numbers", (12, 2))


def test_missing_file_suggests_near_names(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"did you mean '.*houses\.csv'\?"):
        load(tmp_path / "house.csv", target="b")
    with pytest.raises(DataError, match=r"did you mean '.*houses\.csv'\?"):
        load(str(tmp_path / "houses"))


def test_unknown_name_suggests_built_in_sets() -> None:
    with pytest.raises(UnknownName, match=r"unknown data set 'digit'(.|\n)*did you mean 'digits'\?"):
        load("digit")


def test_unknown_name_suggests_files_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "houses.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnknownName, match=r"did you mean 'houses\.csv'\?"):
        load("houses")
    for name in ("zzzzzz", ""):
        with pytest.raises(UnknownName, match="or the path of a file or folder"):
            load(name)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (X, r"no source of data(.|\n)*ndarray"),
        (torch.zeros(2, 3), "no source of data"),
        (None, r"no source of data(.|\n)*NoneType"),
        ((X, Y, Y), r"no source of data(.|\n)*tuple of length 3"),
        (TensorDataset(torch.zeros(3)), r"no source of data(.|\n)*TensorDataset"),
        (DataLoader(TensorDataset(torch.zeros(3))), r"no source of data(.|\n)*DataLoader"),
        ((X, Y[:5]), r"differ in length(.|\n)*12 inputs, 5 targets"),
        ((X[:0], Y[:0]), "the data are empty"),
        ((X, np.zeros(12, int)), r"only one class(.|\n)*0 in all 12 rows"),
        ((X, np.full(12, np.nan)), r"targets hold 12 values that are NaN"),
        ((np.where(X > 2, np.nan, X) * np.nan, Y), r"inputs hold 36 values that are NaN"),
        ((X.astype(object), Y), "array of Python objects"),
    ],
)
def test_unusable(source: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        load(source)


def test_target_is_for_tables() -> None:
    with pytest.raises(ConfigError, match=r"only a table(.|\n)*target='y' for 'digits'"):
        load("digits", target="y")


def test_unknown_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "x.docx").write_text("…")
    with pytest.raises(DataError, match=r"unknown kind(.|\n)*\.csv(.|\n)*\.docx"):
        load(tmp_path / "x.docx")


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.parquet", "a.npz", "a-images-idx3-ubyte", "a.png", "a/b"]
)
def test_whatever_is_missing_is_one_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(PreceptorError, match="no file"):
        load(tmp_path / name, target="y" if name[2:] in ("csv", "tsv", "parquet") else None)
