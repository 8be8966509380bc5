from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data._image_size import Fit, common_size, fit_of, resized
from preceptor.data._images import decode, read_images
from preceptor.errors import ConfigError, DataError, OutOfMemory

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (8, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def read(*images: np.ndarray, **options: object) -> tuple[np.ndarray, tuple[str, ...]]:
    return read_images([stored(Image.fromarray(image)) for image in images], "image {}".format, **options)


def test_lossless_images_come_back() -> None:
    np.testing.assert_array_equal(decode(stored(Image.fromarray(GREY)), "x"), GREY)
    np.testing.assert_array_equal(decode(stored(Image.fromarray(COLOUR)), "x"), COLOUR)


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("1", (8, 6)), ("LA", (8, 6)), ("P", (8, 6, 3)), ("RGBA", (8, 6, 3)), ("RGB", (8, 6, 3))],
)
def test_modes(mode: str, shape: tuple[int, ...]) -> None:
    image = decode(stored(Image.fromarray(COLOUR).convert(mode)), "x")
    assert (image.shape, image.dtype) == (shape, np.uint8)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = (GREY.astype(np.uint16) << 8) + 17
    np.testing.assert_array_equal(decode(stored(Image.fromarray(deep)), "x"), GREY)


def test_what_is_transparent_lies_on_white() -> None:
    drawn = np.zeros((8, 6, 4), np.uint8)  # black on nothing, as icons are drawn
    drawn[2:4, :, 3] = 255
    image = decode(stored(Image.fromarray(drawn)), "x")
    assert (image[2:4] == 0).all()
    assert (image[:2] == 255).all()
    _, notes = read(drawn, drawn)
    assert notes == ("2 of 2 images have transparent parts: laid on white",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_photographs_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.zeros((16, 8), np.uint8)
    upright[:8] = 255  # light above
    turned = {1: upright, 2: upright, 3: upright[::-1], 4: upright[::-1], 5: upright.T, 6: upright.T[:, ::1],
              7: upright.T[:, ::-1], 8: upright.T[:, ::-1]}[orientation]  # fmt: skip
    data = stored(Image.fromarray(np.ascontiguousarray(turned)), "JPEG", exif=exif, quality=100)
    image = decode(data, "x")
    assert image.shape == (16, 8)
    assert image[:8].min() > 200
    assert image[8:].max() < 55
    values, notes = read_images([data], str)
    assert (values.shape, notes) == ((1, 1, 16, 8), ())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_damaged_images_are_named(tmp_path: Path, kind: str) -> None:
    whole = stored(Image.fromarray(np.tile(COLOUR, (20, 20, 1))), kind)
    for content in (whole[: len(whole) // 2], b"", b"no image"):
        (tmp_path / "cat.img").write_bytes(content)
        with pytest.raises(DataError, match=r"cat\.img is no readable image"):
            decode(tmp_path / "cat.img", str(tmp_path / "cat.img"))


def test_all_damaged_images_are_named() -> None:
    good = stored(Image.fromarray(np.tile(COLOUR, (20, 20, 1))))
    sources = [good, b"", good[:300], good, b"no image"]
    with pytest.raises(DataError, match=r"2 of 5 images cannot be read(.|\n)*image 1, image 4"):
        read_images(sources, "image {}".format)
    with pytest.raises(DataError, match="image 1 is no readable image"):
        read_images([good, good[:300]], "image {}".format)


def test_one_size() -> None:
    values, notes = read(GREY, GREY)
    assert (values.shape, values.dtype, notes) == ((2, 1, 8, 6), np.uint8, ())
    values, notes = read(COLOUR)
    assert notes == ()
    np.testing.assert_array_equal(values[0], COLOUR.transpose(2, 0, 1))


def test_the_most_common_size() -> None:
    values, notes = read(np.full((4, 4), 9, np.uint8), GREY, GREY)
    assert values.shape == (3, 1, 8, 6)
    assert (values[0] == 9).all()
    assert notes[0].startswith("1 of 3 images resized to 8×6, the size of most: scaled until they cover it")
    np.testing.assert_array_equal(values[1, 0], GREY)


@pytest.mark.parametrize(
    ("sizes", "fit", "size"),
    [
        ([(8, 6), (8, 6), (4, 4)], Fit(), (8, 6)),
        ([(10, 30), (20, 12), (14, 40)], Fit(), (12, 12)),
        ([(3000, 4000)] * 3, Fit(), (224, 299)),
        ([(480, 300), (300, 480), (600, 600)], Fit(), (224, 224)),
        ([(3000, 4000)] * 3, Fit((512, 600)), (512, 600)),
    ],
)
def test_the_size_that_images_are_brought_to(sizes, fit: Fit, size: tuple[int, int]) -> None:
    found, notes = common_size(sizes, fit)
    assert found == size
    assert bool(notes) == (sizes.count(size) < len(sizes))
    assert all(("data.image_size" in note) == (fit.size is None) for note in notes)


BARS = np.repeat(np.array([[50, 100, 150]], np.uint8), 8, 1).repeat(8, 0)  # 8×24: three squares


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("crop", [100] * 6), ("stretch", [50, 50, 100, 100, 150, 150]), ("pad", [50, 50, 100, 100, 150, 150])],
)
def test_rules(rule: str, expected: list[int]) -> None:
    values, _ = read(BARS, fit=Fit((6, 6), rule))
    np.testing.assert_allclose(values[0, 0, 3], expected, atol=8)  # neighbours shine through
    assert (values[0, 0, 0, 0] == 0) == (rule == "pad")
    arrays = resized(BARS[None, None], 6, 6, rule)
    np.testing.assert_array_equal(arrays, values)
    np.testing.assert_allclose(resized(BARS[None, None] / 10, 6, 6, rule), values / 10, atol=0.1)


def test_large_photographs_are_decoded_small() -> None:
    # A JPEG decoded at a quarter and then resized is that picture resized, but for rounding.
    smooth = np.add.outer(np.arange(400), np.arange(600)).astype(np.uint8) // 4
    data = stored(Image.fromarray(smooth), "JPEG", quality=98)
    values, _ = read_images([data], str, fit=Fit((32, 48)))
    expected = Image.fromarray(smooth).resize((48, 32), Image.Resampling.BILINEAR)
    assert np.abs(values[0, 0].astype(int) - np.asarray(expected).astype(int)).mean() < 2


def test_grey_images_get_channels() -> None:
    values, notes = read(GREY, COLOUR)
    assert values.shape == (2, 3, 8, 6)
    for channel in values[0]:
        np.testing.assert_array_equal(channel, GREY)
    assert notes == ("1 of 2 images are grey: given three equal channels",)


def test_a_known_shape() -> None:
    values, notes = read(COLOUR, GREY, shape=(1, 5, 7))
    assert (values.shape, notes) == ((2, 1, 5, 7), ())
    np.testing.assert_array_equal(
        read(COLOUR, shape=(1, 8, 6))[0][0, 0], Image.fromarray(COLOUR).convert("L")
    )


@pytest.mark.slow
def test_memory_is_that_of_the_result(tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    Image.fromarray(np.tile(COLOUR, (40, 40, 1))).save(path)  # 320×240, 230 kB decoded
    tracemalloc.start()
    values, _ = read_images([path] * 200, str, fit=Fit((32, 32)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values.nbytes == 200 * 3 * 32 * 32
    assert peak < 2 * values.nbytes + 2_000_000  # decoded all at once they would take 46 MB


def test_more_than_the_machine_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sysconf"):
        pytest.skip("the machine does not say what it holds")
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    with pytest.raises(OutOfMemory, match=r"2 images of 1×80×80 does not fit(.|\n)*image_size"):
        read(GREY, GREY, fit=Fit((80, 80)))


@pytest.mark.parametrize("size", [0, -3, "large", (3,), [4, 0], 2.5, True, (True, 4)])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigError, match="image_size is not usable"):
        fit_of(size, "crop")


def test_rules_that_are_none() -> None:
    with pytest.raises(ConfigError, match=r"image_fit is not usable(.|\n)*crop, pad, stretch"):
        fit_of(8, "squeeze")
