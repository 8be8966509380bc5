"""``preceptor look``, and a training on a folder of images, as a new user would do both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Cli


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder of small photographs of two kinds, of several sizes."""
    rng = np.random.default_rng(0)
    for i in range(40):
        kind = ("bright", "dark")[i % 2]
        side = 40 if i % 3 else 36
        image = rng.integers(0, 80, (side, 40, 3)) + (150 if kind == "bright" else 0)
        (tmp_path / "shapes" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "shapes" / kind / f"{i}.png")
    return tmp_path / "shapes"


def train(cli: Cli, *more: str):
    found = cli("train", "shapes", "--model", "lenet-5", "--epochs", "2", "--out", "run", "--no-test", *more)
    assert found.code == 0, found.err
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("shapes")
def test_a_folder_of_images_from_training_to_pictures(cli: Cli, tmp_path: Path) -> None:
    found = train(cli, "--augment", "standard")
    assert "images resized to 40×40, the size of most" in found.out
    assert 'augmentations = [{name = "standard"' in (tmp_path / "run" / "experiment.toml").read_text()
    assert "What the network sees" in (tmp_path / "run" / "report.html").read_text()
    found = cli("look", "run")
    assert found.code == 0
    for key in ("filters", "maps", "saliency", "occlusion", "augmentation", "examples", "classes"):
        assert any(line.split() == [key, f"run/look/{key}.png"] for line in found.lines), found.out
        with Image.open(tmp_path / "run" / "look" / f"{key}.png") as picture:
            assert picture.width >= 1200
    found = cli("predict", "run", next((tmp_path / "shapes" / "dark").iterdir()))
    assert found.lines[1].split(",")[1] in ("bright", "dark")


@pytest.mark.slow
@pytest.mark.usefixtures("shapes")
def test_one_look_into_another_folder(cli: Cli, tmp_path: Path) -> None:
    train(cli, "--set", "data.image_size=32", "--set", "data.image_fit=pad")
    found = cli(
        "look", "run", "--what", "saliency", "--what", "augmentation", "--out", "seen", "--examples", "2"
    )
    assert found.code == 0
    assert found.lines == [
        "saliency      seen/saliency.png",
        "augmentation  Nothing to see: images are trained on as they are.",
    ]
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["saliency.png"]


@pytest.mark.slow
def test_other_inputs_get_a_sentence(cli: Cli) -> None:
    assert cli("train", "iris", "--epochs", "1", "--out", "run").code == 0
    found = cli("look", "run")
    assert (found.code, len(found.lines)) == (0, 1)
    assert "only images (C×H×W) can be looked at" in found.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("look", "nowhere"), "nowhere"),
        (("train", "shapes", "--augment", "standrad"), "standard"),
        (("train", "shapes", "--set", "data.image_size=0"), "image_size"),
        (("train", "shapes", "--set", "data.image_fit=squeeze"), "data.image_fit is not usable"),
        (("train", "iris", "--set", "data.image_size=8"), "only images have an image_size"),
        (("train", "iris", "--augment", "standard"), "standard is for images"),
    ],
)
@pytest.mark.usefixtures("shapes")
def test_mistakes_are_one_message(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    found = cli(*arguments)
    assert found.code == 2
    assert says in found.err
