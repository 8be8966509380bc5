"""NumPy archives (.npz): plain arrays under the usual names, or JPEG streams; never Python objects."""

from __future__ import annotations

import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from preceptor.data._arrays import Inputs, as_inputs, as_targets
from preceptor.data._assemble import assemble, named_targets
from preceptor.data._dataset import Array, Dataset
from preceptor.data._files import missing_file, plain_name
from preceptor.data._folder import PARTS
from preceptor.data._image_size import Fit
from preceptor.data._images import read_images
from preceptor.errors import DataError
from preceptor.untrusted import check_room, check_unpacked

__all__ = ["read_archive", "read_npz"]

_INPUTS = ("x", "data", "images", "image", "inputs", "input", "features")
_TARGETS = ("y", "labels", "label", "target", "targets")
_MASKS = ("mask", "masks", "segmentation")
_WORDS = {"x": _INPUTS, "y": _TARGETS, "mask": _MASKS}
_CLASSES = ("class_names", "classes", "target_names")
_STREAM = ("jpeg", "offset")
_MAGIC = b"\x93NUMPY"
_LAST = 0x10FFFF  # the largest code of a character
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_OF_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError)
_OF_HEADERS = (ValueError, TypeError, KeyError, SyntaxError, OverflowError, tokenize.TokenError)
_DAMAGE = (*_OF_ZIP, *_OF_HEADERS)


@dataclass(frozen=True, eq=False)
class Archive:
    """What a .npz holds: inputs, targets where there are any, class and feature names, parts, all keys."""

    inputs: Inputs
    targets: Array | None
    names: tuple[str, ...]
    feature_names: tuple[str, ...]
    part: Array | None
    keys: tuple[str, ...]


def read_npz(path: Path, *, name: str | None, origin: str, fit: Fit | None = None) -> Dataset:
    """Read a .npz file with inputs and targets, whole or in parts.

    Inputs are called x, X, data, images, image or inputs, targets y, labels, label, target or targets, or
    mask, masks or segmentation where they give each pixel its class,
    with a part's name before or after: ``x_train``, ``test_label``. JPEG streams are called
    ``<part>_jpeg`` and ``<part>_offset``; ``class_names`` gives the classes their names.

    Raises:
        DataError: no such file, damaged, Python objects inside, or no inputs or targets found.
    """
    archive = read_archive(path, fit=fit)
    if archive.targets is None:
        raise DataError(
            f"{str(path)!r} holds no targets",
            expected="an array called " + ", ".join((*_TARGETS, *_MASKS)),
            received="arrays " + ", ".join(archive.keys),
        )
    inputs = archive.inputs
    return assemble(
        name=name or plain_name(path),
        origin=origin,
        kind=inputs.kind,
        inputs=inputs.values,
        targets=archive.targets,
        names=archive.names,
        feature_names=archive.feature_names,
        part=archive.part,
        notes=inputs.notes,
    )


def read_archive(path: Path, shape: tuple[int, ...] | None = None, fit: Fit | None = None) -> Archive:
    """Read what a .npz holds, its parts one after the other; targets may be absent.

    Arguments:
        path: of the file.
        shape: (C, H, W) that JPEG streams are brought to; by default the size that ``fit`` says.
        fit: the size of JPEG streams, and what is done with those of another.
    """
    arrays = _members(path)
    roles = _roles(arrays)
    parts: list[str | None] = [part for part in ("train", "val", "test") if part in roles]
    parts = parts or [None] * (None in roles)
    if not parts:
        raise DataError(
            f"{str(path)!r} holds no inputs under a usual name",
            expected="x and y, images and labels, x_train and y_train, train_image and train_label, …",
            received="arrays " + ", ".join(arrays),
        )
    xs, ys = [], []
    for part in parts:
        found = roles[part]
        x: Any = _Streams(found, part, path) if {*_STREAM} <= {*found} else found["x"]
        y = as_targets(found["y"]) if "y" in found else None
        if y is not None and len(x) != len(y):
            raise DataError(
                f"{str(path)!r}: inputs and targets{f' of {part}' if part else ''} differ in length",
                received=f"{len(x):,} inputs, {len(y):,} targets",
            )
        xs.append(x)
        ys.append(y)
    if any(y is not None and y.ndim > 2 for y in ys):
        fit = replace(fit or Fit(), largest=None)  # masks lie on the pixels as they are
    names, features = _strings(arrays, _CLASSES), _strings(arrays, ("feature_names",))
    known = [y for y in ys if y is not None]
    targets = named_targets(np.concatenate(known), names) if len(known) == len(ys) else None
    marks = np.repeat(np.array(parts), [len(x) for x in xs]) if len(parts) > 1 else None
    return Archive(
        _joined(xs, roles[parts[0]], path, shape, fit), targets, names, features, marks, tuple(arrays)
    )


def _members(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise missing_file(path)
    with path.open("rb") as stream:
        return _unpacked(stream, path)


def _unpacked(stream: BinaryIO, path: Path) -> dict[str, Array]:
    magic = stream.read(2)
    stream.seek(0)
    if magic != b"PK":
        raise DataError(
            f"{str(path)!r} is no .npz file",
            expected="a zip archive, as np.savez writes it",
            received=f"it starts with {magic!r}" if magic else "an empty file",
        )
    key = ""
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_sizes(archive, path)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as found:
            arrays = {}
            for key in found.files:
                arrays[key] = array = np.asarray(found[key])
                if array.dtype.kind == "U" and array.size and _codes(array).max(initial=0) > _LAST:
                    raise ValueError("text with codes that are no characters")
            return arrays
    except _DAMAGE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{str(path)!r}: the array {key!r} holds Python objects",
                expected="plain arrays of numbers or text",
                received="pickled data, which is not read because it can run code",
                hint="save it again with a plain dtype, such as array.astype(str) or np.stack(list(array))",
            ) from error
        raise DataError(
            f"{str(path)!r} is a damaged .npz file" + (f" (array {key!r})" if key else ""),
            received=str(error),
            hint="fetch or save the file again",
        ) from error


def _codes(array: Array) -> Array:
    """Return the characters of an array of text as numbers."""
    return np.ascontiguousarray(array).reshape(-1).view(array.dtype.str[0] + "u4")


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse arrays that come from next to nothing, or whose header speaks of more than there is."""
    members = archive.infolist()
    whole = sum(member.file_size for member in members)
    check_unpacked(repr(str(path)), sum(member.compress_size for member in members), whole)
    check_room(whole, f"what {str(path)!r} holds", hint="a part of it, or a DataLoader of your own")
    for member in members:
        with archive.open(member) as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                continue
            file.seek(0)
            version = np.lib.format.read_magic(file)
            if version not in _HEADERS:
                raise ValueError(f"an array of version {version}")
            shape, _, dtype = _HEADERS[version](file)
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{member.filename}: shape {shape}, but {member.file_size:,} bytes")


def _roles(arrays: Mapping[str, Array]) -> dict[str | None, dict[str, Any]]:
    """Sort the arrays by part and by role: x, y, jpeg, offset; keep the parts that have inputs."""
    found: dict[str | None, dict[str, Any]] = {}
    for key, array in arrays.items():
        part, word = _read_key(key.lower())
        role = word if word in _STREAM else next((r for r, words in _WORDS.items() if word in words), None)
        if role and array.ndim > (2 if role == "mask" else 0):
            found.setdefault(part, {}).setdefault(role, array)
            if word in ("images", "image", *_MASKS):
                found[part]["images"] = True
    for roles in found.values():  # where examples have labels of their own, those are the targets
        if "mask" in roles:
            roles.setdefault("y", roles["mask"])
    return {part: roles for part, roles in found.items() if "x" in roles or {"jpeg", "offset"} <= set(roles)}


def _read_key(key: str) -> tuple[str | None, str]:
    head, _, tail = key.partition("_")
    if tail and head in PARTS:
        return PARTS[head], tail
    front, _, last = key.rpartition("_")
    if front and last in PARTS:
        return PARTS[last], front
    return None, key


class _Streams(Sequence[bytes]):
    """The images of one part as the bytes that their files held."""

    def __init__(self, found: Mapping[str, Array], part: str | None, path: Path) -> None:
        self.content, offset = found["jpeg"].tobytes(), found["offset"].astype(np.int64)
        fits = offset.ndim == 1 and len(offset) > 1 and (np.diff(offset) > 0).all()
        if not fits or offset[-1] > len(self.content):
            raise DataError(
                f"{str(path)!r}: the offsets of the JPEG streams do not fit",
                expected=f"rising positions within {len(self.content):,} bytes",
                received=f"{len(offset)} positions" + (f" up to {offset.max():,}" if offset.size else ""),
            )
        self.ends = list(pairwise(offset.tolist()))
        self.where = f"{str(path)!r}, {part or 'all'}: image"

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        start, end = self.ends[index]
        return self.content[start:end]


def _joined(
    xs: list[Any], first: Mapping[str, Any], path: Path, shape: tuple[int, ...] | None, fit: Fit | None
) -> Inputs:
    if len({isinstance(x, _Streams) for x in xs}) > 1:
        raise DataError(
            f"{str(path)!r}: some parts are arrays, others JPEG streams", expected="one form", received="two"
        )
    if isinstance(xs[0], _Streams):
        names = [f"{x.where} {i}" for x in xs for i in range(len(x))]
        values, notes = read_images([file for x in xs for file in x], names.__getitem__, shape=shape, fit=fit)
        return Inputs("images", values, notes)
    if len({x.shape[1:] for x in xs}) > 1:
        shapes = ", ".join(str(x.shape) for x in xs)
        raise DataError(f"{str(path)!r}: the parts differ in shape", expected="one shape", received=shapes)
    return as_inputs(np.concatenate(xs), images=bool(first.get("images")), named=f"{str(path)!r}: inputs")


def _strings(arrays: Mapping[str, Array], keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        if key in arrays and arrays[key].ndim == 1 and arrays[key].dtype.kind == "U":
            return tuple(arrays[key].tolist())
    return ()
