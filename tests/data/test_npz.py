from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preceptor.data import load, prepare
from preceptor.data._npz import read_archive
from preceptor.errors import DataError

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.arange(12) % 3
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


def saved(folder: Path, **arrays: object) -> Path:
    np.savez_compressed(folder / "set.npz", **arrays)
    return folder / "set.npz"


@pytest.mark.parametrize("x", ["x", "X", "data", "images", "image", "inputs"])
@pytest.mark.parametrize("y", ["y", "labels", "label", "target", "targets"])
def test_usual_names(tmp_path: Path, x: str, y: str) -> None:
    data = load(saved(tmp_path, **{x: X, y: Y}))
    assert (data.name, data.kind, data.part) == ("set", "vectors", None)
    np.testing.assert_array_equal(data.inputs, X)
    np.testing.assert_array_equal(data.targets, Y)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("x_train y_train", "x_test y_test"),
        ("train_x train_y", "test_x test_y"),
        ("X_train y_train", "X_test y_test"),
        ("train_image train_label", "test_image test_label"),
        ("train_images train_labels", "valid_images valid_labels"),
    ],
)
def test_parts(tmp_path: Path, train: str, test: str) -> None:
    arrays = dict(zip([*train.split(), *test.split()], [X[:8], Y[:8], X[8:], Y[8:]], strict=True))
    data = load(saved(tmp_path, **arrays))
    other = "val" if "valid" in test else "test"
    assert data.part.tolist() == (["train"] * 8 + [other] * 4)
    np.testing.assert_array_equal(data.inputs, X)


def test_class_and_feature_names(tmp_path: Path) -> None:
    path = saved(
        tmp_path, x=X, y=Y, class_names=np.array(["z", "b", "a"]), feature_names=np.array(["u", "v", "w"])
    )
    data = load(path)
    assert data.classes == ("z", "b", "a")
    assert data.feature_names == ("u", "v", "w")
    ready = prepare(data, val=0, test=0)
    np.testing.assert_array_equal(ready.train.y[np.argsort(ready.train.rows)].numpy(), Y)


def test_too_few_class_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class is unknown(.|\n)*'2'"):
        load(saved(tmp_path, x=X, y=Y, class_names=np.array(["a", "b"])))


def test_channels_last_become_first(tmp_path: Path) -> None:
    data = load(saved(tmp_path, image=PIXELS, label=Y))
    assert (data.kind, data.shape, data.inputs.dtype) == ("images", (3, 6, 5), np.uint8)
    np.testing.assert_array_equal(data.inputs, PIXELS.transpose(0, 3, 1, 2))


def test_floats_called_images(tmp_path: Path) -> None:
    assert load(saved(tmp_path, images=np.zeros((12, 6, 5)), y=Y)).shape == (1, 6, 5)


def streams(images: list[np.ndarray], kind: str = "PNG") -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, kind)
        parts.append(stream.getvalue())
    offset = np.cumsum([0, *map(len, parts)])
    return np.frombuffer(b"".join(parts), np.uint8), offset


def test_streams(tmp_path: Path) -> None:
    jpeg, offset = streams(list(PIXELS))
    data = load(saved(tmp_path, train_jpeg=jpeg, train_offset=offset.astype(np.int32), train_label=Y))
    np.testing.assert_array_equal(data.inputs, PIXELS.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("change", [lambda o: o[:1], lambda o: o + 5, lambda o: o[::-1], lambda o: o[None]])
def test_offsets_that_do_not_fit(tmp_path: Path, change) -> None:
    jpeg, offset = streams(list(PIXELS))
    with pytest.raises(DataError, match="offsets of the JPEG streams do not fit"):
        load(saved(tmp_path, train_jpeg=jpeg, train_offset=change(offset), train_label=Y))


def test_a_damaged_stream_is_named(tmp_path: Path) -> None:
    jpeg, offset = streams(list(PIXELS))
    jpeg = jpeg.copy()
    jpeg[offset[3] : offset[4]] = 0
    with pytest.raises(DataError, match=r"set\.npz', train: image 3 is no readable image"):
        load(saved(tmp_path, train_jpeg=jpeg, train_offset=offset, train_label=Y))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.write_text, (tmp_path / "sprung", "!"))

    path = saved(tmp_path, x=X, y=np.array([Trap()] * 12, dtype=object))
    with pytest.raises(DataError, match=r"'y' holds Python objects(.|\n)*can run code"):
        load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": X}, r"no targets(.|\n)*arrays x"),
        ({"image": PIXELS, "mask": Y}, r"no targets(.|\n)*arrays image, mask"),
        ({"y": Y, "weights": X}, r"no inputs under a usual name(.|\n)*arrays y, weights"),
        ({"x": X, "y": Y[:5]}, r"differ in length(.|\n)*12 inputs, 5 targets"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, r"parts differ in shape"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "no targets"),
        ({"x": X * np.nan, "y": Y}, r"set\.npz': inputs hold 36 values that are NaN"),
        ({"x": X[:0], "y": Y[:0]}, "the data are empty"),
    ],
)
def test_unusable(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load(saved(tmp_path, **arrays))


def test_damaged(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    for damaged in (content[: len(content) // 2], content[:-30], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"set\.npz' is a damaged \.npz file"):
            load(path)
    for other in (b"", b"x,y\n1,2\n"):
        path.write_bytes(other)
        with pytest.raises(DataError, match=r"is no \.npz file"):
            load(path)
    with pytest.raises(DataError, match="did you mean"):
        load(tmp_path / "sets.npz")


def test_archive_without_targets(tmp_path: Path) -> None:
    archive = read_archive(saved(tmp_path, x=X))
    assert archive.targets is None
    assert archive.keys == ("x",)
