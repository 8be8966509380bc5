"""Folders of images and masks: two sub-folders, whole or by part, whose files go together by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preceptor.data._assemble import assemble
from preceptor.data._dataset import Array, Dataset
from preceptor.data._files import plain_name
from preceptor.data._folder import PARTS, image_files
from preceptor.data._image_size import Fit, Size, common_size
from preceptor.data._images import read_images
from preceptor.data._mask_images import mask_sizes, read_masks
from preceptor.errors import DataError
from preceptor.untrusted import understood

__all__ = ["mask_folder", "read_mask_folder", "read_masked_pictures"]

_IMAGES = frozenset(("images", "image", "imgs", "img", "inputs", "photos", "frames", "jpegimages", "slices"))
_MASKS = frozenset(
    (
        *("masks", "mask", "labels", "label", "annotations", "annots", "annot"),
        *("segmentation", "segmentations", "segmentationclass", "gt", "groundtruth"),
    )
)
_WORDS = re.compile(r"[a-z0-9]+")
_ENDING = re.compile(r"[-_. ](mask|masks|label|labels|l|gt|seg|segmentation|annot|image|img)$", re.IGNORECASE)
_NAMED = 4  # files in a message


class _Folders(NamedTuple):
    """Where the images and the masks of one part lie."""

    part: str | None
    images: Path
    masks: Path


def mask_folder(folder: Path) -> bool:
    """Tell whether a folder holds images and masks.

    That is ``images/`` and ``masks/`` (or labels, annotations, …), whole or with ``train/``, ``val/`` and
    ``test/`` above or below them, or folders such as ``train_images`` and ``train_masks``, or ``train`` and
    ``trainannot``.
    """
    return bool(_folders(folder))


def read_mask_folder(folder: Path, *, name: str | None, origin: str, fit: Fit | None = None) -> Dataset:
    """Read images, and for each a mask of the same name, but for endings such as ``_mask`` or ``_L``.

    Masks are images of shades or of a palette, whose values are the classes, or of colours, each of which is
    a class. A file ``classes.txt`` names them: a line for each value in order, or ``R G B name`` for each
    colour.

    Raises:
        DataError: an image without a mask or a mask without an image, one of another size, or unreadable.
        OutOfMemory: more pixels than the machine can hold.
    """
    pictures, masks, names, part, notes = _read(folder, fit or Fit(), None)
    return assemble(
        name=name or plain_name(folder),
        origin=origin,
        kind="images",
        inputs=pictures,
        targets=masks,
        names=names,
        part=part,
        notes=notes,
    )


def read_masked_pictures(folder: Path, channels: int, known: Mapping[str, int]) -> tuple[Array, Array]:
    """Read new images and masks; colours have the values that they had in training, by their names."""
    pictures, masks, *_ = _read(folder, Fit(), known)
    if pictures.shape[1] < channels:
        pictures = np.repeat(pictures, channels, axis=1)
    return pictures, masks


def _read(
    folder: Path, fit: Fit, known: Mapping[str, int] | None
) -> tuple[Array, Array, tuple[str, ...], Array | None, tuple[str, ...]]:
    found = _folders(folder)
    pairs = [(where.part, *pair) for where in found for pair in _pairs(where)]
    parts, pictures, masks = zip(*pairs, strict=True)
    size, notes = _size(pictures, masks, replace(fit, largest=None))
    fit = replace(fit, size=size)
    images, more = read_images(pictures, lambda i: repr(str(pictures[i])), fit=fit)
    values, names = read_masks(masks, fit, _named(folder), known)
    marks = None if parts[0] is None else np.asarray(parts)
    return images, values, names, marks, (*notes, *(note for note in more if "resized" not in note))


def _folders(folder: Path) -> list[_Folders]:
    """Return the folders of each part; none where these are no folders of images and masks."""
    inside = [p for p in sorted(folder.glob("*")) + sorted(folder.glob("*/*")) if p.is_dir()]
    found: dict[str | None, dict[str, Path]] = {}
    for path in inside:
        if not any(p.parent == path for p in image_files(path)):
            continue
        known = [_meaning(word) for word in path.relative_to(folder).parts]
        if not all(known):
            return []
        said = {key: value for meaning in known for key, value in meaning.items()}
        found.setdefault(said.get("part"), {}).setdefault(said.get("role", "images"), path)
    if not found or any({"images", "masks"} != set(roles) for roles in found.values()):
        return []
    return [_Folders(part, roles["images"], roles["masks"]) for part, roles in found.items()]


def _meaning(name: str) -> dict[str, str]:
    """Return the part and the role that a folder's name tells; empty where it is any other name."""
    said: dict[str, str] = {}
    for word in _WORDS.findall(name.lower()):
        front = next((p for p in sorted(PARTS, key=len, reverse=True) if word.startswith(p)), "")
        rest = word.removeprefix(front)
        if front:
            said["part"] = PARTS[front]
        if rest in _IMAGES:
            said["role"] = "images"
        elif rest in _MASKS:
            said["role"] = "masks"
        elif rest:
            return {}
    return said


def _pairs(where: _Folders) -> list[tuple[Path, Path]]:
    images = {_key(p): p for p in image_files(where.images)}
    masks = {_key(p): p for p in image_files(where.masks)}
    if alone := sorted(images.keys() ^ masks.keys()):
        some = [str(images.get(key) or masks[key]) for key in alone]
        raise DataError(
            f"{len(alone):,} images have no mask, or masks no image",
            expected=f"files of the same name in {str(where.images)!r} and {str(where.masks)!r}",
            received=", ".join(some[:_NAMED]) + (", …" if len(some) > _NAMED else ""),
        )
    return [(images[key], masks[key]) for key in sorted(images)]


def _key(path: Path) -> str:
    return _ENDING.sub("", path.stem)


def _size(images: Sequence[Path], masks: Sequence[Path], fit: Fit) -> tuple[Size, list[str]]:
    """Return the size that all are brought to, if each mask has the size of its image."""
    sizes, of_masks = mask_sizes(images), mask_sizes(masks)
    for path, size, mask in zip(masks, sizes, of_masks, strict=True):
        if size != mask:
            raise DataError(
                f"{str(path)!r} differs in size from its image",
                expected="×".join(map(str, size)),
                received="×".join(map(str, mask)),
            )
    return common_size(sizes, fit)


def _named(folder: Path) -> list[str]:
    path = folder / "classes.txt"
    if not path.is_file():
        return []
    with understood(path, "the classes' names in UTF-8", DataError):
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
