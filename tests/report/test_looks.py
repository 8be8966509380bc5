"""Pictures of what a network sees: pixels, sheets, files, and their place on the page."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.errors import StorageError
from preceptor.report import Predictions, Summary, render
from preceptor.report.html import LOOKS_LIMIT
from preceptor.report.looks import Look, Row, Shown, heat, overlay, png, save, sheet, shrunk, stretched, uri
from preceptor.report.pictured import classes, confusions, extremes

NOISE = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_numbers_are_stretched_to_shades() -> None:
    assert stretched(np.array([-2.0, 0.0, 2.0])).tolist() == [0, 128, 255]
    assert stretched(np.full((2, 2), 7.0)).tolist() == [[128, 128]] * 2
    assert stretched(np.array([np.nan, 1.0])).tolist() == [0, 255]


def test_heat_rises_from_black() -> None:
    coloured = heat(np.array([[-1.0, 0.0, 1.0, 2.0]]))[0]
    assert coloured.shape == (4, 3)
    brightness = coloured.astype(int).sum(1)
    assert brightness[0] == brightness[1] < 10
    assert brightness[1] < brightness[2] < brightness[3]
    assert heat(np.zeros((2, 2))).max() < 10


def test_an_overlay_of_nothing_is_the_image_a_little_darker() -> None:
    image = np.full((2, 2), 200, np.uint8)
    assert (overlay(image, np.zeros((2, 2))) == 160).all()
    marked = overlay(np.stack([image] * 3, 2), np.array([[0.0, 0.0], [0.0, 5.0]]))
    assert (marked[0] == 160).all()
    assert marked[1, 1, 0] > marked[1, 1, 2]  # red where it is largest


@pytest.mark.parametrize(
    ("n", "columns", "shape"), [(6, 3, (17, 20)), (5, None, (17, 20)), (1, None, (8, 6))]
)
def test_sheets(n: int, columns: int | None, shape: tuple[int, int]) -> None:
    page = sheet([NOISE] * n, columns)
    assert page.shape == (*shape, 3)
    np.testing.assert_array_equal(page[:8, :6], NOISE)
    np.testing.assert_array_equal(page[-8:, :6], NOISE)


def test_small_pictures_keep_their_pixels() -> None:
    np.testing.assert_array_equal(opened(png(NOISE)), NOISE)
    address = uri(Shown(NOISE))
    np.testing.assert_array_equal(opened(base64.b64decode(address.partition(",")[2])), NOISE)
    assert shrunk(np.zeros((300, 600), np.uint8), 96).shape == (96, 192)


def look(rows: int = 2, size: int = 8) -> Look:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8)
    pictures = [(Shown(image, f"picture {i} <b>"), Shown(image)) for i, image in enumerate(images)]
    return Look(
        "maps", "Maps & more", "A lead with <script> in it.", tuple(Row("a row", p) for p in pictures)
    )


def test_files(tmp_path: Path) -> None:
    path = save(look(), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "maps.png"
    drawn = opened(path.read_bytes())
    assert drawn.shape[2] == 3
    assert drawn.shape[1] == 1200
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        save(look(), tmp_path / "file")


def page(*looks: Look, predictions: Predictions | None = None) -> str:
    return render(
        Summary("run", None, "T", "P", "E", "finished", [], None, "lr", looks=looks, predictions=predictions)
    )


def test_the_page_shows_and_escapes_them() -> None:
    text = page(look())
    assert "What the network sees" in text
    assert text.count("<script>") == 1  # the page's own
    assert "A lead with &lt;script&gt; in it." in text
    assert len(re.findall(r'<img src="data:image/png;base64,', text)) == 4
    assert 'alt="Maps &amp; more, a row: picture 1 &lt;b&gt;"' in text
    assert "What the network sees" not in page()


def test_the_page_stays_small() -> None:
    text = page(look(rows=60, size=96), look(rows=3))
    ((shown, of),) = re.findall(r"To keep this file small (\d+) of (\d+) rows are shown", text)
    assert (10 < int(shown) < 50, of) == (True, "60")
    assert LOOKS_LIMIT - 60_000 < len(text) < LOOKS_LIMIT + 100_000
    assert (
        'alt="Maps &amp; more, a row: picture 2 &lt;b&gt;"' in text.partition(" rows are shown")[2]
    )  # of the second


def test_photographs_become_jpegs() -> None:
    smooth = np.add.outer(np.arange(200), np.arange(200)).astype(np.uint8)
    noisy = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert uri(Shown(smooth)).startswith("data:image/png")
    address = uri(Shown(noisy))
    assert address.startswith("data:image/jpeg")
    assert opened(base64.b64decode(address.partition(",")[2])).shape == (96, 96, 3)
    assert len(address) < 14_000


def predictions(**changes: object) -> Predictions:
    target = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    taken = np.array([0, 1, 1, 1, 1, 2, 0, 2])
    fields = {
        "kind": "classification", "part": "val", "target": target, "predicted": taken,
        "losses": np.array([0.1, 2.0, 3.0, 0.2, 0.05, 0.3, np.nan, 0.4]), "rows": np.arange(8),
        "classes": ("ant", "bee", "cat"),
        "images": (100 + 16 * np.arange(8, dtype=np.uint8))[:, None, None, None].repeat(4, 2).repeat(4, 3),
        "probabilities": np.full((8, 3), 1 / 3),
    }  # fmt: skip
    return Predictions(**{**fields, **changes})  # type: ignore[arg-type]


def numbers(row: Row) -> list[int]:
    """Return which examples a row shows, by their brightness."""
    return [(int(shown.pixels[0, 0]) - 100) // 16 for shown in row.pictures]


def test_the_worst_and_the_best() -> None:
    found = extremes(predictions())
    assert found is not None
    worst, best = found.rows
    assert numbers(worst)[:3] == [6, 2, 1]
    assert numbers(best) == [4, 0, 3, 5, 7, 1, 2, 6]
    assert worst.pictures[0].caption == "ant 0.33, is cat"
    assert best.pictures[0].caption == "bee 0.33"


def test_class_by_class() -> None:
    found = classes(predictions())
    assert found is not None
    assert [row.label for row in found.rows] == [
        "ant: 33.3 % of 3 found", "cat: 66.7 % of 3 found", "bee: 100.0 % of 2 found",
    ]  # fmt: skip
    assert [numbers(row) for row in found.rows] == [[2, 1, 0], [6, 5, 7], [4, 3]]


def test_confusions() -> None:
    found = confusions(predictions())
    assert found is not None
    assert [(row.label, numbers(row)) for row in found.rows] == [
        ("ant taken for bee, 2×", [2, 1]), ("cat taken for ant, 1×", [6]),
    ]  # fmt: skip
    assert confusions(predictions(predicted=np.array([0, 0, 0, 1, 1, 2, 2, 2]))) is None


def test_without_pictures_or_classes_there_is_nothing() -> None:
    for make in (extremes, classes, confusions):
        assert make(predictions(images=None)) is None
    numbers_alone = predictions(kind="regression", classes=())
    assert classes(numbers_alone) is None
    assert confusions(numbers_alone) is None
    found = extremes(numbers_alone)
    assert found is not None
    assert found.rows[1].pictures[0].caption == "1.000"
