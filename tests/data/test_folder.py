from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data import load, prepare, read_inputs
from preceptor.errors import ConfigError, DataError


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


def test_sizes_as_asked_for(pets: Path) -> None:
    fill(pets / "cats", 10, count=2, size=(4, 4))
    for size, fit, shape in ((5, "crop", (5, 5)), ((4, 10), "pad", (4, 10)), ((4, 10), "stretch", (4, 10))):
        data = load(pets, image_size=size, image_fit=fit)
        assert data.shape == (1, *shape)
        assert f"resized to {shape[0]}×{shape[1]}, as asked for" in data.notes[0]
    assert load(pets, image_size=4, image_fit="pad").inputs[data.targets == "dogs"].min() == 0  # its bars
    assert load(pets, image_size=4).inputs[data.targets == "dogs"].min() == 200


def test_new_images_are_fitted_as_in_training(pets: Path, tmp_path: Path) -> None:
    ready = prepare(load(pets, image_size=4), val=0, test=0)
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 200
    Image.fromarray(wide).save(tmp_path / "new.png")
    for fit, low in (("crop", 200), ("pad", 0)):
        raw, _ = read_inputs(tmp_path / "new.png", ready.preprocessor, image_size=4, image_fit=fit)
        assert raw.shape == (1, 1, 4, 4)
        assert raw.min() == low
    raw, _ = read_inputs(wide[None, None], ready.preprocessor, image_size=4)
    assert (raw.shape, raw.min()) == ((1, 1, 4, 4), 200)


@pytest.mark.slow
def test_an_image_size_for_other_data() -> None:
    assert load("digits", image_size=16).shape == (1, 16, 16)
    assert load("digits", image_size=8).notes == load("digits").notes
    assert load("digits", image_size=16).fingerprint != load("digits").fingerprint
    with pytest.raises(ConfigError, match=r"only images have an image_size(.|\n)*4 columns"):
        load("iris", image_size=16)
