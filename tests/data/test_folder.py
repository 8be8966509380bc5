from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data import load, prepare
from preceptor.errors import DataError


def fill(folder: Path, level: int, count: int = 3, size: tuple[int, int] = (8, 6), mode: str = "L") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new(mode, size, level if mode == "L" else (level,) * 3).save(folder / f"{i}.png")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    fill(tmp_path / "pets" / "cats", 10)
    fill(tmp_path / "pets" / "dogs", 200, count=5)
    return tmp_path / "pets"


def test_a_class_a_folder(pets: Path) -> None:
    (pets / "cats" / "readme.txt").write_text("no image")
    (pets / "cats" / ".hidden.png").write_text("no image")
    data = load(pets)
    assert (data.name, data.kind, data.shape, len(data)) == ("pets", "images", (1, 6, 8), 8)
    assert data.classes == ("cats", "dogs")
    assert data.part is None
    assert data.inputs[data.targets == "dogs"].min() == 200
    assert data.inputs[data.targets == "cats"].max() == 10


def test_parts_as_given(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("valid", 4), ("test", 6)):
        fill(tmp_path / part / "a", 1, count)
        fill(tmp_path / part / "b", 2, count)
    data = load(str(tmp_path))
    assert {p: int((data.part == p).sum()) for p in ("train", "val", "test")} == {
        "train": 40,
        "val": 8,
        "test": 12,
    }
    ready = prepare(data)
    assert ready.split.text == "40/8/12 (val and test as given)"
    assert (data.part[ready.split.test] == "test").all()


def test_sizes_and_colours_are_brought_together(pets: Path) -> None:
    fill(pets / "cats", 10, count=2, size=(4, 4), mode="RGB")
    data = load(pets)
    assert data.shape == (3, 6, 8)
    assert any("resized" in note for note in data.notes)
    assert any("grey" in note for note in data.notes)


def test_empty_class_folders_are_noted(pets: Path) -> None:
    (pets / "birds").mkdir()
    data = load(pets)
    assert data.classes == ("cats", "dogs")
    assert "folders without images left out: birds" in data.notes


def test_a_damaged_image_is_named(pets: Path) -> None:
    (pets / "dogs" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match=r"dogs/2\.png' is no readable image"):
        load(pets)


def test_one_class_only(tmp_path: Path) -> None:
    fill(tmp_path / "cats", 10)
    with pytest.raises(DataError, match=r"only one class(.|\n)*cats in all 3 rows"):
        load(tmp_path)


def test_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images by class(.|\n)*an empty folder"):
        load(tmp_path)
    fill(tmp_path, 10)
    with pytest.raises(DataError, match=r"3 images without a class"):
        load(tmp_path)


def test_a_class_without_training_images(tmp_path: Path) -> None:
    fill(tmp_path / "train" / "a", 1)
    fill(tmp_path / "train" / "b", 1)
    fill(tmp_path / "test" / "bb", 1)
    with pytest.raises(DataError, match=r"no training images(.|\n)*a, b(.|\n)*bb"):
        load(tmp_path)


def test_order_is_that_of_the_paths(pets: Path) -> None:
    assert load(pets).fingerprint == load(str(pets)).fingerprint
    np.testing.assert_array_equal(load(pets).targets, ["cats"] * 3 + ["dogs"] * 5)
