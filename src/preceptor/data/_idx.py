"""MNIST-form idx files, gzipped or not: images, and the labels and test files that lie beside them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from preceptor.data._arrays import as_inputs
from preceptor.data._assemble import assemble
from preceptor.data._dataset import Array, Dataset
from preceptor.data._files import missing_file, plain_name, read_bytes
from preceptor.data._folder import PARTS
from preceptor.errors import DataError

__all__ = ["image_idx_files", "is_idx", "read_idx", "read_idx_dataset", "read_idx_pair"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAME = re.compile(r"[-._]idx\d[-._]ubyte(\.gz)?$")
_PART = re.compile("|".join(sorted(PARTS, key=len, reverse=True)))


def is_idx(path: Path) -> bool:
    """Tell by its name whether a file is in idx form.

    Example:
        >>> is_idx(Path("train-images-idx3-ubyte.gz"))
        True
    """
    return bool(_NAME.search(path.name.lower()))


def image_idx_files(folder: Path) -> list[Path]:
    """Return a folder's idx files of images, one where it lies there both gzipped and not."""
    found = [p for p in sorted(folder.iterdir()) if p.is_file() and is_idx(p) and "images" in p.name.lower()]
    return [p for p in found if p.suffix.lower() != ".gz" or p.with_suffix("") not in found]


def read_idx(path: Path) -> Array:
    """Return the array that an idx file holds.

    Raises:
        DataError: no such file, damaged, or not of this form.
    """
    content = read_bytes(path)
    dtype = _TYPES.get(content[2]) if len(content) >= 4 and content[:2] == b"\0\0" else None
    axes = content[3] if len(content) >= 4 else 0
    start = 4 + 4 * axes
    if dtype is None or axes == 0 or len(content) < start:
        raise DataError(
            f"{str(path)!r} is no idx file",
            expected="two zero bytes, the type, the number of axes and their sizes",
            received=f"the bytes {content[:4].hex(' ')}",
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, 4))
    wanted = start + math.prod(shape) * np.dtype(dtype).itemsize
    if len(content) != wanted:
        raise DataError(
            f"{str(path)!r} is damaged",
            expected=f"{wanted:,} bytes for the shape {shape}",
            received=f"{len(content):,} bytes",
            hint="fetch the file again",
        )
    values: Array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values


def read_idx_pair(images: Path) -> tuple[Array, Array | None]:
    """Return a file of images and the labels that lie beside it; None where there are none."""
    labels = _labels(images)
    return read_idx(images), read_idx(labels) if labels.is_file() else None


def read_idx_dataset(path: Path, *, name: str | None, origin: str) -> Dataset:
    """Read a folder of idx files, or the set that one images file belongs to.

    Raises:
        DataError: a file is missing or damaged, or images and labels differ in number.
    """
    folder = path if path.is_dir() else path.parent
    files = _family(path)
    arrays = []
    for part, file in files.items():
        labels = _labels(file)
        if not labels.is_file():
            raise missing_file(labels)
        x, y = read_idx(file), read_idx(labels)
        if len(x) != len(y) or y.ndim != 1:
            raise DataError(
                f"{str(file)!r} and {labels.name!r} do not fit",
                expected=f"{len(x):,} labels",
                received=f"labels of shape {y.shape}",
            )
        arrays.append((part, x, y))
    if len({x.shape[1:] for _, x, _ in arrays}) > 1:
        sizes = ", ".join(f"{part} {x.shape[1:]}" for part, x, _ in arrays)
        raise DataError(f"{str(folder)!r}: the parts differ in shape", expected="one shape", received=sizes)
    inputs = as_inputs(np.concatenate([x for _, x, _ in arrays]), images=True)
    whole = len(arrays) > 1
    return assemble(
        name=name or plain_name(folder),
        origin=origin,
        kind=inputs.kind,
        inputs=inputs.values,
        targets=np.concatenate([y for *_, y in arrays]),
        part=np.concatenate([np.full(len(y), part) for part, _, y in arrays]) if whole else None,
        notes=inputs.notes,
    )


def _family(path: Path) -> dict[str, Path]:
    """Return the images file of each part that belongs to a folder or to one images file."""
    if path.is_dir():
        files = image_idx_files(path)
    elif "images" not in path.name.lower():
        raise DataError(
            f"{path.name!r} holds no images",
            expected="a file of images, such as train-images-idx3-ubyte.gz, or its folder",
            received=str(path),
        )
    elif not path.is_file():
        raise missing_file(path)
    else:
        stem = _stem(path)
        files = [p for p in image_idx_files(path.parent) if _stem(p) == stem]
    parts: dict[str, Path] = {}
    for file in files:
        part = _part_of(file)
        if part in parts:
            raise DataError(
                f"{str(path)!r} holds several sets",
                expected="one file of images for each part",
                received=f"{parts[part].name}, {file.name}",
                hint=f"name one: {str(file)!r}",
            )
        parts[part] = file
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _part_of(path: Path) -> str:
    found = _PART.search(path.name.lower())
    return PARTS[found.group()] if found else "train"


def _stem(path: Path) -> str:
    name = path.name.lower()
    return _PART.sub("*", name.removesuffix(".gz"))


def _labels(images: Path) -> Path:
    """Return where the labels of a file of images should lie, gzipped or not."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    other = images.with_name(name[:-3] if name.endswith(".gz") else name + ".gz")
    return other if other.is_file() and not images.with_name(name).is_file() else images.with_name(name)
