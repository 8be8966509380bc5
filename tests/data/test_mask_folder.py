from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data import load, prepare, read_inputs
from preceptor.errors import DataError

SQUARE = np.zeros((6, 8), np.uint8)
SQUARE[1:4, 2:5] = 1


def save(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image = image.convert("P")
        image.putdata(values.reshape(-1).tolist())
    image.save(path)


def pairs(images: Path, masks: Path, count: int = 3, mask: np.ndarray = SQUARE, ending: str = "") -> None:
    for i in range(count):
        save(images / f"{i}.png", np.full((*mask.shape[:2], 3), 10 * i, np.uint8))
        save(masks / f"{i}{ending}.png", mask)


def test_images_and_masks(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks", ending="_mask")
    data = load(tmp_path)
    assert (data.kind, data.target_kind, data.shape, data.part) == ("images", "masks", (3, 6, 8), None)
    assert data.inputs[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert (data.targets == SQUARE).all()
    assert data.classes == ("0", "1")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}/images", "{}/labels"),
        ("images/{}", "annotations/{}"),
        ("{}", "{}annot"),
        ("{}_images", "{}_masks"),
    ],
)
def test_parts(tmp_path: Path, images: str, masks: str) -> None:
    for part, count in (("train", 4), ("val", 1), ("test", 2)):
        pairs(tmp_path / images.format(part), tmp_path / masks.format(part), count)
    data = load(tmp_path)
    assert sorted(data.part.tolist()) == ["test"] * 2 + ["train"] * 4 + ["val"]
    assert prepare(data).split.text == "4/1/2 (val and test as given)"


def test_class_folders_of_such_names_stay_classes(tmp_path: Path) -> None:
    for kind in ("mask", "no-mask"):
        save(tmp_path / kind / "0.png", np.zeros((4, 4), np.uint8))
    assert load(tmp_path).classes == ("mask", "no-mask")


def test_names_of_values(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "classes.txt").write_text("ground\nhouse\n")
    assert load(tmp_path).classes == ("ground", "house")


def test_colours_are_classes(tmp_path: Path) -> None:
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[2:, :, 0] = 128
    pairs(tmp_path / "images", tmp_path / "masks", mask=mask)
    data = load(tmp_path)
    assert data.classes == ("#000000", "#800000")
    assert (data.targets == (mask[..., 0] > 0)).all()
    (tmp_path / "classes.txt").write_text("128 0 0 road\n0 0 0 sky\n")
    data = load(tmp_path)
    assert data.classes == ("road", "sky")
    assert (data.targets == (mask[..., 0] == 0)).all()


def test_new_colours_have_the_values_of_training(tmp_path: Path) -> None:
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[2:, :, 0], mask[4:, :, 1] = 128, 64
    pairs(tmp_path / "a" / "images", tmp_path / "a" / "masks", 20, mask=mask)
    pairs(tmp_path / "b" / "images", tmp_path / "b" / "masks", mask=mask[2:])
    ready = prepare(load(tmp_path / "a"))
    _, targets = read_inputs(tmp_path / "b", ready.preprocessor)
    assert targets is not None
    assert np.unique(targets).tolist() == [1, 2]
    assert ready.preprocessor.targets(targets).unique().tolist() == [1, 2]


def test_a_palette_gives_values(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    for path in (tmp_path / "masks").iterdir():
        save(path, SQUARE * 7, palette=True)
    assert load(tmp_path).classes == ("0", "7")


def test_several_sizes_are_brought_together_with_their_masks(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    large = np.kron(SQUARE, np.ones((2, 2), np.uint8))
    save(tmp_path / "images" / "9.png", np.zeros((12, 16, 3), np.uint8))
    save(tmp_path / "masks" / "9.png", large)
    data = load(tmp_path)
    assert (data.targets == SQUARE).all()
    assert any("1 of 4 images resized" in note for note in data.notes)
    small = load(tmp_path, image_size=4)
    assert small.shape == (3, 4, 4)
    assert set(np.unique(small.targets)) == {0, 1}


def test_what_is_padded_does_not_count(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    data = load(tmp_path, image_size=8, image_fit="pad")
    assert (data.targets[:, [0, 7]] == 255).all()
    assert data.classes == ("0", "1")


def test_a_mask_is_missing(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1 images have no mask(.|\n)*images/1\.png"):
        load(tmp_path)


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "masks")
    save(tmp_path / "masks" / "1.png", SQUARE[1:])
    with pytest.raises(DataError, match=r"1\.png' differs in size from its image(.|\n)*6×8(.|\n)*5×8"):
        load(tmp_path)


def test_masks_stored_with_losses(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 80, 3)).astype(np.uint8)
    pairs(tmp_path / "images", tmp_path / "masks", mask=noise)
    with pytest.raises(DataError, match=r"too many colours(.|\n)*PNG"):
        load(tmp_path)
