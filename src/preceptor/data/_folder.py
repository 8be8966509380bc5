"""Folders of images: one class a sub-folder, or that below train/, val/ and test/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from preceptor.data._assemble import assemble
from preceptor.data._dataset import Array, Dataset
from preceptor.data._files import plain_name
from preceptor.data._image_size import Fit
from preceptor.data._images import IMAGE_SUFFIXES, read_images
from preceptor.errors import DataError

__all__ = ["PARTS", "image_files", "read_folder", "read_pictures"]

# What the three parts are called in file and folder names.
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "t10k": "test",
}  # fmt: skip


def read_folder(folder: Path, *, name: str | None, origin: str, fit: Fit | None = None) -> Dataset:
    """Read a folder that holds one sub-folder of images for each class.

    Raises:
        DataError: no sub-folders with images, a single class, or images that cannot be decoded.
        OutOfMemory: more pixels than the machine can hold.
    """
    files, labels, part = _listed(folder)
    pictures, notes = read_images(files, _name_of(files), fit=fit)
    left_out = [p.name for p in _folders(folder) if not image_files(p)]
    if left_out:
        notes += ("folders without images left out: " + ", ".join(left_out),)
    return assemble(
        name=name or plain_name(folder),
        origin=origin,
        kind="images",
        inputs=pictures,
        targets=labels,
        part=part,
        notes=notes,
    )


def read_pictures(path: Path, shape: tuple[int, ...], fit: Fit) -> tuple[Array, Array | None]:
    """Read new images at a known shape (C, H, W): a file, a flat folder, or one by class, with labels."""
    files = [path] if path.is_file() else [p for p in sorted(path.iterdir()) if _is_image(p)]
    labels: Array | None = None
    if not files:
        files, labels, _ = _listed(path)
    return read_images(files, _name_of(files), shape=shape, fit=fit)[0], labels


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and below it, sorted by path."""
    return sorted(p for p in folder.rglob("*") if _is_image(p))


def _name_of(files: list[Path]) -> Callable[[int], str]:
    return lambda i: repr(str(files[i]))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _listed(folder: Path) -> tuple[list[Path], Array, Array | None]:
    """Return files, class names, and parts where the sub-folders are called train, val or test."""
    below = _folders(folder)
    split = bool(below) and all(p.name.lower() in PARTS for p in below)
    roots = [(PARTS[p.name.lower()], p) for p in below] if split else [("train", folder)]
    found = [
        (file, kind.name, part)
        for part, root in roots
        for kind in _folders(root)
        for file in image_files(kind)
    ]
    if not found:
        flat = len([p for p in folder.iterdir() if _is_image(p)])
        received = f"{flat:,} images without a class" if flat else "no images: " + _content(folder)
        raise DataError(
            f"{str(folder)!r} holds no images by class",
            expected="a sub-folder of images for each class, or train/, val/ and test/ with those",
            received=received,
        )
    files, labels, parts = zip(*found, strict=True)
    known = {label for label, part in zip(labels, parts, strict=True) if part == "train"}
    strange = sorted(set(labels) - known)
    if split and strange and "train" in parts:
        raise DataError(
            f"{str(folder)!r}: a class has no training images",
            expected="in val/ and test/ the classes of train/: " + ", ".join(sorted(known)),
            received=", ".join(strange),
        )
    return list(files), np.asarray(labels), np.asarray(parts) if split else None


def _content(folder: Path) -> str:
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "") if names else "an empty folder"
