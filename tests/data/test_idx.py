from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from preceptor.data import load, prepare
from preceptor.data._idx import image_idx_files, is_idx, read_idx
from preceptor.errors import DataError

CODES = {"u1": 8, "i1": 9, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), dtype=np.uint8)
LABELS = (np.arange(40) % 4).astype(np.uint8)


def packed(values: np.ndarray, code: int = 8) -> bytes:
    return (
        bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def write(folder: Path, part: str, n: int, *, gz: bool, dot: str = "-") -> Path:
    folder.mkdir(exist_ok=True)
    for kind, values in (("images", IMAGES[:n]), ("labels", LABELS[:n])):
        name = f"{part}-{kind}{dot}idx{values.ndim}-ubyte" + (".gz" if gz else "")
        content = packed(values)
        (folder / name).write_bytes(gzip.compress(content) if gz else content)
    return folder / (f"{part}-images{dot}idx3-ubyte" + (".gz" if gz else ""))


@pytest.fixture(params=[(False, "-"), (True, "-"), (False, ".")])
def letters(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    gz, dot = request.param
    write(tmp_path / "letters", "train", 32, gz=gz, dot=dot)
    write(tmp_path / "letters", "t10k", 8, gz=gz, dot=dot)
    return tmp_path / "letters"


@pytest.mark.parametrize("dtype", CODES)
def test_every_type(tmp_path: Path, dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    (tmp_path / "x").write_bytes(packed(values, CODES[dtype]))
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), values)


def test_names() -> None:
    assert is_idx(Path("t10k-labels.idx1-ubyte"))
    assert not is_idx(Path("idx3.csv"))


def test_folder_and_any_images_file_give_the_same(letters: Path) -> None:
    whole = load(letters)
    assert (whole.name, whole.kind, whole.shape, len(whole)) == ("letters", "images", (1, 5, 4), 40)
    assert (whole.part == "test").sum() == 8
    np.testing.assert_array_equal(whole.inputs[:32, 0], IMAGES[:32])
    for file in image_idx_files(letters):
        assert load(str(file)).fingerprint == whole.fingerprint


def test_validation_is_cut_from_train_and_test_kept(letters: Path) -> None:
    ready = prepare(load(letters), val=0.25)
    assert ready.split.text == "24/8/8 (test as given, stratified, seed 0)"
    assert ready.split.test.tolist() == list(range(32, 40))


def test_train_files_alone(tmp_path: Path) -> None:
    write(tmp_path, "train", 40, gz=False)
    assert load(tmp_path).part is None


def test_unpacked_copy_beside_the_packed_one(tmp_path: Path) -> None:
    write(tmp_path, "train", 40, gz=True)
    write(tmp_path, "train", 40, gz=False)
    assert len(load(tmp_path)) == 40


def test_several_sets_in_one_folder(tmp_path: Path) -> None:
    write(tmp_path, "emnist-letters-train", 32, gz=False)
    write(tmp_path, "emnist-letters-test", 8, gz=False)
    digits = write(tmp_path, "emnist-digits-train", 16, gz=False)
    with pytest.raises(DataError, match=r"holds several sets(.|\n)*name one"):
        load(tmp_path)
    assert len(load(digits)) == 16


def test_labels_are_missing_or_too_few(tmp_path: Path) -> None:
    file = write(tmp_path, "train", 40, gz=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(packed(LABELS[:7]))
    with pytest.raises(DataError, match=r"do not fit(.|\n)*40 labels(.|\n)*\(7,\)"):
        load(file)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"no file '.*train-labels-idx1-ubyte'"):
        load(file)


def test_parts_of_different_shape(tmp_path: Path) -> None:
    write(tmp_path, "train", 32, gz=False)
    write(tmp_path, "t10k", 8, gz=False)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(packed(IMAGES[:8, :4]))
    with pytest.raises(DataError, match=r"differ in shape(.|\n)*train \(5, 4\), test \(4, 4\)"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (packed(IMAGES)[:-3], r"is damaged(.|\n)*816 bytes(.|\n)*813 bytes"),
        (packed(IMAGES) + b"!", "is damaged"),
        (b"PNG image", r"no idx file(.|\n)*50 4e 47 20"),
        (b"\0\0\x08", "no idx file"),
        (b"\0\0\x07\x01\0\0\0\0", "no idx file"),
        (b"\0\0\x08\x03\0\0", "no idx file"),
        (b"", "is empty"),
        (gzip.compress(packed(IMAGES))[:60], "damaged gzip"),
    ],
    ids=["short", "long", "png", "three-bytes", "type", "no-sizes", "empty", "gzip"],
)
def test_damaged(tmp_path: Path, content: bytes, says: str) -> None:
    file = write(tmp_path, "train", 40, gz=False)
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        load(file)


def test_labels_file_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path, "train", 40, gz=False)
    with pytest.raises(DataError, match="holds no images"):
        load(tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(DataError, match="did you mean"):
        load(tmp_path / "trian-images-idx3-ubyte")
