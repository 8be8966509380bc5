from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data._images import decode, stack
from preceptor.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (8, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (8, 6, 3), dtype=np.uint8)


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


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


def test_orientation_of_photographs_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = stored(Image.fromarray(COLOUR), "JPEG", exif=exif)
    assert decode(data, "x").shape == (6, 8, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_damaged_images_are_named(tmp_path: Path, kind: str) -> None:
    whole = stored(Image.fromarray(np.tile(COLOUR, (20, 20, 1))), kind)
    for content in (whole[: len(whole) // 2], b"", b"no image"):
        (tmp_path / "cat.img").write_bytes(content)
        with pytest.raises(DataError, match=r"cat\.img is no readable image"):
            decode(tmp_path / "cat.img", str(tmp_path / "cat.img"))


def test_stack_one_size() -> None:
    values, notes = stack([GREY, GREY])
    assert (values.shape, values.dtype, notes) == ((2, 1, 8, 6), np.uint8, ())
    values, notes = stack([COLOUR])
    assert notes == ()
    np.testing.assert_array_equal(values[0], COLOUR.transpose(2, 0, 1))


def test_stack_resizes_to_the_most_common() -> None:
    values, notes = stack([np.full((4, 4), 9, np.uint8), GREY, GREY])
    assert values.shape == (3, 1, 8, 6)
    assert (values[0] == 9).all()
    assert notes == ("1 of 3 images resized to the size of the others, 8×6",)


def test_stack_gives_grey_images_channels() -> None:
    values, notes = stack([GREY, COLOUR])
    assert values.shape == (2, 3, 8, 6)
    for channel in values[0]:
        np.testing.assert_array_equal(channel, GREY)
    assert notes == ("1 of 2 images are grey: given three equal channels",)


def test_stack_to_a_known_shape() -> None:
    values, _ = stack([COLOUR, GREY], shape=(1, 5, 7))
    assert values.shape == (2, 1, 5, 7)
    np.testing.assert_array_equal(
        stack([COLOUR], shape=(1, 8, 6))[0][0, 0], Image.fromarray(COLOUR).convert("L")
    )
