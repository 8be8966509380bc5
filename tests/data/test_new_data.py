from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from preceptor.data import Prepared, Table, load, prepare, read_inputs
from preceptor.errors import DataError

HEAD = "age,town,price\n"
ROWS = [f"{i},{'abc'[i % 3]},{i * 10.5}" for i in range(30)]


@pytest.fixture
def houses(tmp_path: Path) -> Prepared:
    (tmp_path / "houses.csv").write_text(HEAD + "\n".join(ROWS) + "\n")
    return prepare(load(tmp_path / "houses.csv", target="price"))


@pytest.fixture(scope="module")
def digits() -> Prepared:
    return prepare(load("digits"))


@pytest.fixture(scope="module")
def iris() -> Prepared:
    return prepare(load("iris"))


def test_the_same_file_gives_the_same_inputs(tmp_path: Path, houses: Prepared) -> None:
    raw, targets = read_inputs(str(tmp_path / "houses.csv"), houses.preprocessor)
    fitted = houses.preprocessor
    assert torch.equal(fitted.inputs(raw), fitted.inputs(houses.dataset.inputs))
    assert torch.equal(fitted.targets(targets), fitted.targets(houses.dataset.targets))


@pytest.mark.parametrize("as_frame", [False, True])
def test_columns_by_name_extra_ones_ignored_target_optional(
    tmp_path: Path, houses: Prepared, as_frame: bool
) -> None:
    text = "junk,town,age\n1,b,7\nx,z,\n"
    (tmp_path / "new.csv").write_text(text)
    source = pd.DataFrame({"town": ["b", "z"], "age": [7, None]}) if as_frame else tmp_path / "new.csv"
    raw, targets = read_inputs(source, houses.preprocessor)
    assert targets is None
    assert isinstance(raw, Table)
    x = houses.preprocessor.inputs(raw)
    assert x.shape == (2, 4)
    assert x[:, 1:].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert x[1, 0] == 0


def test_kinds_are_those_of_training(tmp_path: Path, houses: Prepared) -> None:
    (tmp_path / "codes.csv").write_text("age,town\n3,1\n4,2\n")
    raw, _ = read_inputs(tmp_path / "codes.csv", houses.preprocessor)
    assert raw.column("town").values.tolist() == ["1", "2"]
    (tmp_path / "words.csv").write_text("age,town\nyoung,a\nold,b\n")
    with pytest.raises(DataError, match=r"'age' has text among its numbers(.|\n)*'young' in line 2"):
        read_inputs(tmp_path / "words.csv", houses.preprocessor)


def test_missing_columns_are_named(tmp_path: Path, houses: Prepared) -> None:
    (tmp_path / "new.csv").write_text("Age,price\n3,1\n")
    with pytest.raises(
        DataError, match=r"2 columns are missing(.|\n)*'age', 'town'(.|\n)*is 'Age' meant for 'age'"
    ):
        read_inputs(tmp_path / "new.csv", houses.preprocessor)


def test_missing_targets(tmp_path: Path, houses: Prepared) -> None:
    (tmp_path / "some.csv").write_text("age,town,price\n3,a,\n4,b,7.5\n")
    raw, targets = read_inputs(tmp_path / "some.csv", houses.preprocessor)
    assert len(raw) == 2
    with pytest.raises(DataError, match=r"1 values that are NaN(.|\n)*row 0"):
        houses.preprocessor.targets(targets)
    (tmp_path / "none.csv").write_text("age,town,price\n3,a,\n4,b,?\n")
    assert read_inputs(tmp_path / "none.csv", houses.preprocessor)[1] is None


@pytest.mark.parametrize("source", [np.zeros((2, 2)), "digits"])
def test_a_table_is_needed(houses: Prepared, source: object) -> None:
    with pytest.raises(DataError, match=r"table(.|\n)*age, town"):
        houses.preprocessor.inputs(read_inputs(source, houses.preprocessor)[0])


def test_a_path_that_is_no_table(tmp_path: Path, houses: Prepared) -> None:
    with pytest.raises(DataError, match=r"takes a table(.|\n)*age, town"):
        read_inputs(tmp_path, houses.preprocessor)


def test_frame_beside_targets(houses: Prepared) -> None:
    raw, targets = read_inputs((pd.DataFrame({"town": ["b"], "age": [7]}), [3.5]), houses.preprocessor)
    assert houses.preprocessor.inputs(raw).shape == (1, 4)
    assert targets.tolist() == [3.5]


@pytest.mark.parametrize(
    "form", ["array", "list", "tensor", "pair", "TensorDataset", "inputs of a TensorDataset"]
)
def test_arrays(iris: Prepared, form: str) -> None:
    x, y = iris.dataset.inputs, iris.preprocessor.targets(iris.dataset.targets)
    tensor = torch.from_numpy(x)
    source = {
        "array": x,
        "list": x.tolist(),
        "tensor": tensor,
        "pair": (x, y.numpy()),
        "TensorDataset": TensorDataset(tensor, y),
        "inputs of a TensorDataset": TensorDataset(tensor),
    }[form]
    raw, targets = read_inputs(source, iris.preprocessor)
    assert torch.equal(iris.preprocessor.inputs(raw), iris.preprocessor.inputs(x))
    if form in ("pair", "TensorDataset"):
        assert torch.equal(iris.preprocessor.targets(targets), y)
    else:
        assert targets is None


def test_two_rows_are_not_taken_for_a_pair(iris: Prepared) -> None:
    assert len(read_inputs([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]], iris.preprocessor)[0]) == 2


def test_what_is_loaded_already(iris: Prepared, houses: Prepared) -> None:
    raw, targets = read_inputs(iris.dataset, iris.preprocessor)
    assert raw is iris.dataset.inputs
    assert targets is iris.dataset.targets
    table = houses.dataset.inputs
    assert read_inputs(table, houses.preprocessor) == (table, None)
    assert len(read_inputs("iris", iris.preprocessor)[1]) == 150


def test_vectors_from_a_table(tmp_path: Path, iris: Prepared) -> None:
    names = iris.dataset.feature_names
    (tmp_path / "new.csv").write_text(",".join(names[::-1]) + "\n0.2,1.4,3.5,5.1\n")
    raw, targets = read_inputs(tmp_path / "new.csv", iris.preprocessor)
    assert (raw.tolist(), targets) == ([[5.1, 3.5, 1.4, 0.2]], None)
    (tmp_path / "gap.csv").write_text(",".join(names) + "\n1,2,,4\n")
    with pytest.raises(DataError, match=r"'petal length \(cm\)' has missing values(.|\n)*line 2"):
        read_inputs(tmp_path / "gap.csv", iris.preprocessor)


def test_a_table_for_images(tmp_path: Path, digits: Prepared) -> None:
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"does not suit(.|\n)*images"):
        read_inputs(tmp_path / "new.csv", digits.preprocessor)


def test_pictures_of_any_size(tmp_path: Path, digits: Prepared) -> None:
    for name, size, mode in (
        ("3/a.png", (8, 8), "L"),
        ("3/b.png", (20, 30), "RGB"),
        ("7/c.png", (8, 8), "L"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new(mode, size, 16 if mode == "L" else (16, 16, 16)).save(tmp_path / name)
    raw, targets = read_inputs(tmp_path, digits.preprocessor)
    assert raw.shape == (3, 1, 8, 8)
    assert (raw == 16).all()
    assert digits.preprocessor.targets(targets).tolist() == [3, 3, 7]
    assert digits.preprocessor.inputs(raw).shape == (3, 1, 8, 8)
    for source, count in ((tmp_path / "3", 2), (str(tmp_path / "3" / "b.png"), 1)):
        raw, targets = read_inputs(source, digits.preprocessor)
        assert (raw.shape, targets) == ((count, 1, 8, 8), None)


def test_npz_with_and_without_targets(tmp_path: Path, digits: Prepared) -> None:
    x = digits.dataset.inputs[:5]
    np.savez(tmp_path / "a.npz", x=x)
    np.savez(tmp_path / "b.npz", x_train=x[:3], y_train=[1, 2, 3], x_test=x[3:], y_test=[4, 5])
    raw, targets = read_inputs(tmp_path / "a.npz", digits.preprocessor)
    np.testing.assert_array_equal(raw, x)
    assert targets is None
    raw, targets = read_inputs(str(tmp_path / "b.npz"), digits.preprocessor)
    np.testing.assert_array_equal(raw, x)
    assert targets.tolist() == [1, 2, 3, 4, 5]


def test_idx_file_alone(tmp_path: Path, digits: Prepared) -> None:
    x = digits.dataset.inputs[:5, 0]
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *x.shape)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + x.tobytes())
    raw, targets = read_inputs(tmp_path / "t10k-images-idx3-ubyte", digits.preprocessor)
    np.testing.assert_array_equal(raw[:, 0], x)
    assert targets is None


@pytest.mark.parametrize("shape", [(2, 1, 9, 8), (2, 3, 8, 8)])
def test_images_of_another_shape(digits: Prepared, shape: tuple[int, ...]) -> None:
    raw, _ = read_inputs(np.zeros(shape, np.uint8), digits.preprocessor)
    with pytest.raises(DataError, match=r"another shape(.|\n)*N×1×8×8"):
        digits.preprocessor.inputs(raw)


def test_missing_file(tmp_path: Path, digits: Prepared) -> None:
    with pytest.raises(DataError, match="no file"):
        read_inputs(tmp_path / "new.npz", digits.preprocessor)
