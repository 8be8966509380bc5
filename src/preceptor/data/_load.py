"""`load`: from a name, a path or arrays to a `Dataset`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from preceptor.data._arrays import as_inputs, as_targets
from preceptor.data._assemble import assemble
from preceptor.data._builtin import BUILT_IN, read_built_in
from preceptor.data._csv import CSV_SUFFIXES, read_csv
from preceptor.data._dataset import Dataset, fingerprint
from preceptor.data._files import missing_file, plain_name
from preceptor.data._folder import read_folder
from preceptor.data._frames import PARQUET_SUFFIXES, is_frame, read_frame, read_parquet
from preceptor.data._idx import image_idx_files, is_idx, read_idx_dataset
from preceptor.data._image_size import RULES, Fit, fit_of, resized
from preceptor.data._mask_folder import mask_folder, read_mask_folder
from preceptor.data._npz import read_npz
from preceptor.data._raw_table import RawTable
from preceptor.data._tagged import TAGGED_SUFFIXES, read_tagged
from preceptor.data._trees import TREE_SUFFIXES, read_trees
from preceptor.errors import ConfigError, DataError, UnknownName, nearest
from preceptor.untrusted import refuse_pickle

__all__ = ["built_in_name", "existing", "load", "open_table", "pair"]

_READABLE = "a folder, " + ", ".join((*CSV_SUFFIXES, *PARQUET_SUFFIXES, ".npz", "idx files"))
_HINTS = {
    ".txt": "a text to be continued: --task language-modelling",
    ".npy": "np.savez('data.npz', x=inputs, y=targets) keeps inputs and targets together",
}


def load(
    source: Any,
    *,
    target: str | None = None,
    name: str | None = None,
    image_size: Any = None,
    image_fit: str = "crop",
    labelled: bool = True,
    gaps: bool = False,
) -> Dataset:
    """Read data from wherever they are.

    Arguments:
        source: a built-in set (``"digits"``, ``"iris"``, ``"wine"``, ``"breast-cancer"``, ``"diabetes"``); a
            CSV, TSV, Parquet, .npz or idx file; a folder of images by class, of images and masks, or of idx
            files; ``(x, y)`` as arrays, tensors, lists, or with x a DataFrame; a DataFrame; a TensorDataset
            of two tensors.
        target: the column to predict; needed for tables, and for tables only. Several columns of numbers
            have commas between their names.
        name: what to call the data; default: the built-in name, the file's stem, or ``"data"``.
        image_size: bring images to a square of so many pixels, or to (H, W); default: as they are, and files
            of several sizes to the most common one, or a square, of at most 224 pixels on the shorter side.
        image_fit: what is done with images of another size: ``"crop"`` them, ``"pad"`` or ``"stretch"``.
        labelled: False where no target is needed: a table without one, or inputs alone.
        gaps: NaN in arrays stands for a missing value.

    Raises:
        DataError: missing, damaged or unusable data; the message says where, and what to try.
        UnknownName: neither a file nor a built-in set, or a target that is no column.
        ConfigError: ``target`` was given for data that bring their own, or ``image_size`` for no images.
        OutOfMemory: more images than the machine can hold.
        ExtraMissing: Parquet without pandas and pyarrow.

    Example:
        >>> data = load(([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], ["a", "b", "a"]))
        >>> data.kind, data.classes
        ('vectors', ('a', 'b'))
    """
    fit = fit_of(image_size, image_fit)
    return _of_size(_loaded(source, target, name, fit, labelled=labelled, gaps=gaps), fit)


def _loaded(
    source: Any, target: str | None, name: str | None, fit: Fit, *, labelled: bool, gaps: bool
) -> Dataset:
    if isinstance(source, Dataset):
        return source
    table = open_table(source)
    if table is not None:
        is_path = isinstance(source, str | os.PathLike)
        stem = plain_name(Path(source)) if is_path else "data"
        origin = str(source) if is_path else "arrays"
        return table.dataset(target, name=name or stem, origin=origin, labelled=labelled)
    if target is not None:
        raise ConfigError(
            "only a table needs a target",
            expected="no target",
            received=f"target={target!r} for {_called(source)}",
        )
    if isinstance(source, str | os.PathLike):
        return _from_path(os.fspath(source), name, fit)
    paired = labelled or isinstance(source, TensorDataset) or (isinstance(source, tuple) and len(source) == 2)
    x, y = pair(source) if paired else (source, None)
    if is_frame(x):
        return _from_frame(x, y, name or "data")
    inputs = as_inputs(x, images=getattr(y, "ndim", 0) > 2, gaps=gaps)  # masks belong to images
    features = tuple(f"x{i}" for i in range(inputs.values.shape[1])) if inputs.kind == "vectors" else ()
    return assemble(
        name=name or "data",
        origin="arrays",
        kind=inputs.kind,
        inputs=inputs.values,
        targets=None if y is None else as_targets(y),
        feature_names=features,
        notes=inputs.notes,
    )


def _of_size(dataset: Dataset, fit: Fit) -> Dataset:
    """Return a data set whose images have the size that was asked for."""
    if fit.size is None or dataset.shape[1:] == fit.size:
        return dataset
    if dataset.target_kind == "masks":
        raise ConfigError(
            "images with masks keep their size",
            expected="image_size 'auto'; windows of large images: data.crop",
            received=f"image_size={fit.size!r} for {dataset.text}",
        )
    if dataset.kind != "images" or not isinstance(dataset.inputs, np.ndarray):
        raise ConfigError(
            "only images have an image_size",
            expected="images",
            received=f"image_size={fit.size!r} for {dataset.text}",
        )
    (height, width), before = fit.size, "×".join(map(str, dataset.shape[1:]))
    note = f"images of {before} resized to {height}×{width}, as asked for: {RULES[fit.rule]}"
    inputs = resized(dataset.inputs, height, width, fit.rule)
    return replace(
        dataset,
        inputs=inputs,
        notes=(*dataset.notes, note),
        fingerprint=fingerprint(inputs, dataset.targets),
    )


def open_table(source: Any) -> RawTable | None:
    """Open a DataFrame, CSV, TSV or Parquet file as a table; None for any other source."""
    if is_frame(source):
        return read_frame(source)
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    if path.name.lower().endswith(CSV_SUFFIXES) and not path.is_dir():
        return read_csv(path)
    if path.name.lower().endswith(PARQUET_SUFFIXES) and not path.is_dir():
        return read_parquet(path)
    return None


def pair(source: Any) -> tuple[Any, Any]:
    """Return inputs and targets of ``(x, y)`` or of a TensorDataset with two tensors.

    Raises:
        DataError: something else was given.
    """
    parts = source.tensors if isinstance(source, TensorDataset) else source
    if isinstance(parts, tuple | list) and len(parts) == 2 and not isinstance(source, torch.Tensor):
        return parts[0], parts[1]
    raise DataError(
        "this is no source of data",
        expected="a path, a built-in name, (x, y), a DataFrame, or a TensorDataset of two tensors",
        received=_called(source),
    )


def built_in_name(source: str) -> str | None:
    """Return the built-in set that a name stands for: ``breast_cancer`` and ``Breast-Cancer`` alike."""
    key = source.strip().lower().replace("_", "-")
    return key if key in BUILT_IN else None


def existing(source: str) -> Path:
    """Return the path; where nothing is there, raise the error that suggests the nearest name."""
    path = Path(source)
    if source and path.exists():
        return path
    if path.suffix or path.parent != Path():
        raise missing_file(path)
    close = nearest(source, BUILT_IN) or nearest(source, (p.name for p in Path().iterdir()))
    hint = (
        "did you mean " + " or ".join(map(repr, close)) + "?" if close else "or the path of a file or folder"
    )
    raise UnknownName("data set", source, BUILT_IN, hint=hint)


def _from_path(source: str, name: str | None, fit: Fit) -> Dataset:
    key = built_in_name(source)
    if key is not None:
        return read_built_in(key, name=name)
    path = existing(source)
    if path.is_dir():
        if image_idx_files(path):
            return read_idx_dataset(path, name=name, origin=source)
        if mask_folder(path):
            return read_mask_folder(path, name=name, origin=source, fit=fit)
        return read_folder(path, name=name, origin=source, fit=fit)
    if path.suffix.lower() == ".npz":
        return read_npz(path, name=name, origin=source, fit=fit)
    if path.suffix.lower() in TAGGED_SUFFIXES:
        return read_tagged(path, name=name or path.stem, origin=source)
    if path.suffix.lower() in TREE_SUFFIXES:
        return read_trees(path, name=name or path.stem, origin=source)
    if is_idx(path):
        return read_idx_dataset(path, name=name, origin=source)
    refuse_pickle(path)
    raise DataError(
        f"{source!r} is of an unknown kind",
        expected=_READABLE,
        received=path.suffix or "no ending",
        hint=_HINTS.get(".txt" if ".txt" in path.suffixes else path.suffix.lower()),
    )


def _from_frame(frame: Any, y: Any, name: str) -> Dataset:
    label = getattr(y, "name", None)
    return read_frame(frame).with_targets(as_targets(y), None if label is None else str(label), name=name)


def _called(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        return repr(os.fspath(source))
    size = f" of length {len(source)}" if isinstance(source, tuple | list) else ""
    return type(source).__name__ + size
