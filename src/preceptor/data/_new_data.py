"""`read_inputs`: new data for a network that is trained already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import TensorDataset

from preceptor.data._arrays import as_inputs, as_targets
from preceptor.data._dataset import Array, Column, Dataset, Table
from preceptor.data._folder import read_pictures
from preceptor.data._frames import is_frame, read_frame
from preceptor.data._idx import image_idx_files, is_idx, read_idx_pair
from preceptor.data._image_size import Fit, fit_of, resized
from preceptor.data._images import IMAGE_SUFFIXES
from preceptor.data._load import built_in_name, existing, load, open_table
from preceptor.data._mask_folder import mask_folder, read_masked_pictures
from preceptor.data._masks import MaskCoder
from preceptor.data._npz import read_archive
from preceptor.data._preprocess import Preprocessor
from preceptor.data._raw_table import RawTable, target_columns, target_values
from preceptor.data._table_encoder import TableEncoder
from preceptor.data._tagged import TAGGED_SUFFIXES
from preceptor.data._trees import TREE_SUFFIXES
from preceptor.errors import DataError, nearest
from preceptor.untrusted import understood

__all__ = ["read_inputs"]


def read_inputs(
    source: Any, preprocessor: Preprocessor, *, image_size: Any = None, image_fit: str = "crop"
) -> tuple[Any, Array | None]:
    """Read new data as a trained network takes them; return raw inputs, and raw targets where there are any.

    Columns are found by name, in any order; more of them are ignored, and the target may be absent. Images
    are brought to the size and the number of channels that were trained on. All rows are read, whatever
    part a source puts them in.

    Arguments:
        source: like `load`'s; besides, inputs alone (an array, a tensor), one image, or a folder of images
            without classes.
        preprocessor: what the network was trained with.
        image_size: as in training; unless it was ``"auto"``, arrays too are brought to the trained size.
        image_fit: as in training: how image files are brought to the size that was trained on.

    Returns:
        What ``preprocessor.inputs`` and ``preprocessor.targets`` take; the second None without targets.

    Raises:
        DataError: a column is missing or holds text for numbers, another shape, or damaged data.

    Example:
        >>> from preceptor.data import load, prepare
        >>> ready = prepare(load("iris"))
        >>> raw, targets = read_inputs([[5.1, 3.5, 1.4, 0.2]], ready.preprocessor)
        >>> ready.preprocessor.inputs(raw).shape, targets
        (torch.Size([1, 4]), None)
    """
    fit = fit_of(image_size, image_fit)
    raw, targets = _read(source, preprocessor, fit)
    known = preprocessor.input_shape
    if fit.size is None or preprocessor.kind != "images" or not isinstance(raw, np.ndarray):
        return raw, targets
    if raw.ndim == 4 and raw.shape[1] == known[0] and raw.shape[1:] != known:
        raw = resized(raw, known[1], known[2], fit.rule)
    return raw, targets


def _read(source: Any, preprocessor: Preprocessor, fit: Fit) -> tuple[Any, Array | None]:
    if isinstance(source, Dataset):
        return source.inputs, source.targets
    if isinstance(source, Table):
        return source, None
    if preprocessor.kind == "tokens":
        return _sentences(source)
    columns = open_table(source)
    if columns is not None:
        return _from_table(columns, preprocessor)
    if isinstance(source, str | os.PathLike):
        return _from_path(os.fspath(source), preprocessor, fit)
    x, y = _parted(source)
    targets = None if y is None else as_targets(y)
    if is_frame(x):
        return _from_table(read_frame(x), preprocessor)[0], targets
    if preprocessor.kind == "table":
        raise _no_table(type(source).__name__, preprocessor)
    gaps = preprocessor.encoder.gaps
    return as_inputs(x, images=preprocessor.kind == "images", gaps=gaps).values, targets


def _sentences(source: Any) -> tuple[Any, Array | None]:
    """Return sentences, and tags or trees where a file has them: of a text each line is a sentence."""
    if not isinstance(source, str | os.PathLike):
        x, y = _parted(source)
        return np.asarray(x), None if y is None else np.asarray(y)
    known_endings = (*TAGGED_SUFFIXES, *TREE_SUFFIXES)
    if built_in_name(str(source)) is None and Path(source).suffix.lower() not in known_endings:
        path = existing(str(source))
        with understood(path, "a text in UTF-8, a sentence a line", DataError):
            lines = path.read_text(encoding="utf-8").splitlines()
        return np.array([line for line in lines if line.strip()]), None
    known = load(source)
    return known.inputs, known.targets


def _parted(source: Any) -> tuple[Any, Any]:
    """Return inputs and targets of a pair; a pair is a tuple, as a list of two may be two examples."""
    parts = source.tensors if isinstance(source, TensorDataset) else source
    if isinstance(parts, tuple) and len(parts) in (1, 2):
        return parts[0], parts[1] if len(parts) == 2 else None
    return source, None


def _from_table(raw: RawTable, preprocessor: Preprocessor) -> tuple[Any, Array | None]:
    encoder = preprocessor.encoder
    names = encoder.names
    if not names:
        raise DataError(
            "a table does not suit this network",
            expected=preprocessor.kind,
            received="columns " + ", ".join(raw.names),
        )
    absent = [name for name in names if name not in raw.names]
    if absent:
        close = nearest(absent[0], raw.names)
        raise DataError(
            f"{len(absent)} columns are missing" if len(absent) > 1 else "a column is missing",
            expected=", ".join(map(repr, absent)),
            received="columns " + ", ".join(raw.names),
            hint=f"is {close[0]!r} meant for {absent[0]!r}?" if close else None,
        )
    targets = _targets(raw, preprocessor)
    if isinstance(encoder, TableEncoder):
        return Table(tuple(raw.read(name, encoder.kind_of(name)) for name in names)), targets
    return _matrix(raw, [raw.read(name, "number") for name in names], gaps=encoder.gaps), targets


def _targets(raw: RawTable, preprocessor: Preprocessor) -> Array | None:
    names = target_columns(preprocessor.target_name, raw.names)
    if not names:
        return None
    if len(names) > 1:
        return np.stack([target_values(raw.read(name, "number")) for name in names], axis=1)
    column = raw.read(names[0], None)
    return None if column.missing.all() else target_values(column)


def _matrix(raw: RawTable, columns: list[Column], *, gaps: bool) -> Array:

    for column in columns:
        if column.missing.any() and not gaps:
            where = raw.row(int(column.missing.argmax()))
            raise DataError(
                f"column {column.name!r} has missing values",
                expected="a number in every row, as in the training data",
                received=f"none in {where}",
            )
    return np.stack([column.values for column in columns], axis=1)


def _from_path(source: str, preprocessor: Preprocessor, fit: Fit) -> tuple[Any, Array | None]:
    if built_in_name(source) is not None:
        known = load(source)
        return known.inputs, known.targets
    path = existing(source)
    if preprocessor.kind == "table":
        raise _no_table(repr(source), preprocessor)
    shape = preprocessor.input_shape
    if path.suffix.lower() == ".npz":
        archive = read_archive(path, shape if preprocessor.kind == "images" else None, fit)
        return archive.inputs.values, archive.targets
    if is_idx(path):
        x, y = read_idx_pair(path)
        return as_inputs(x, images=True).values, y
    if preprocessor.kind == "images" and path.is_dir() and mask_folder(path):
        coder = preprocessor.coder
        values = dict(zip(coder.classes, coder.values, strict=True)) if isinstance(coder, MaskCoder) else {}
        return read_masked_pictures(path, shape[0], values)
    if preprocessor.kind == "images" and (path.suffix.lower() in IMAGE_SUFFIXES or _holds_pictures(path)):
        return read_pictures(path, shape, fit)
    known = load(source)
    return known.inputs, known.targets


def _holds_pictures(path: Path) -> bool:
    return path.is_dir() and not image_idx_files(path)


def _no_table(received: str, preprocessor: Preprocessor) -> DataError:
    return DataError(
        "this network takes a table",
        expected="a CSV or Parquet file or a DataFrame with the columns "
        + ", ".join(preprocessor.encoder.names),
        received=received,
    )
