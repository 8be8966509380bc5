"""Files that are either wholly there or not there at all, and trees of tensors stored without pickle."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from preceptor.errors import CheckpointError, StorageError

__all__ = ["atomic", "load_tree", "save_tree", "write_text"]

_HINTS = {
    errno.ENOSPC: "free some space on that disk, then resume: the last checkpoint is intact",
    errno.EDQUOT: "free some of your quota, then resume: the last checkpoint is intact",
    errno.EFBIG: "raise the file-size limit (ulimit -f), then resume: the last checkpoint is intact",
    errno.EACCES: "choose a folder that you may write to, with --out",
    errno.EROFS: "choose a folder on a disk that is not read-only, with --out",
}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush it to disk and rename it over ``path``.

    Raises:
        StorageError: the disk is full or not writable; what stood at ``path`` before stands there still.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise _storage_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_error(path: Path, error: Exception) -> StorageError:
    number = getattr(error, "errno", None)
    if number is None and "os error" in str(error):  # safetensors hands the number on in its text only
        digits = str(error).partition("os error")[2]
        number = int("".join(c for c in digits.partition(")")[0] if c.isdigit()) or 0)
    reason = os.strerror(number) if number else str(error)
    return StorageError(
        f"cannot write {path}",
        received=reason,
        hint=_HINTS.get(number or 0, "check that the folder exists and can be written to"),
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tree(path: Path, tree: Any) -> None:
    """Write nested dicts, lists, tuples, numbers, strings and tensors as one safetensors file.

    The tensors are the file's tensors; the structure around them is JSON in the file's header. Nothing
    is pickled, so that reading the file back cannot run code.

    Raises:
        CheckpointError: the tree holds an object of another type; the message says where.
        StorageError: the file could not be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "state.safetensors"
        >>> save_tree(path, {"step": 3, "moments": {0: torch.ones(2)}, "betas": (0.9, 0.999)})
        >>> load_tree(path)
        {'step': 3, 'moments': {0: tensor([1., 1.])}, 'betas': (0.9, 0.999)}
    """
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_encode(tree, "", tensors))
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"tree": structure})


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote.

    Raises:
        CheckpointError: the file is missing, cut short, or not of this form.
    """
    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})["tree"])
            return _decode(structure, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"cannot read {path}",
            expected="a safetensors file written by preceptor",
            received=f"{type(error).__name__}: {error}",
        ) from error


def _encode(value: Any, where: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # A copy of its own: safetensors refuses tensors that share memory, as tied weights do.
        tensors[where] = value.detach().cpu().contiguous().clone()
        return {"tensor": where}
    if isinstance(value, dict):
        items = [[_encode(k, "", {}), _encode(v, f"{where}/{k}", tensors)] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_encode(v, f"{where}/{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"the state at {where or 'the top'!r} cannot be stored without pickle",
        expected="tensors, numbers, strings, lists, tuples, dicts",
        received=type(value).__name__,
    )


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_decode(k, {}): _decode(v, tensors) for k, v in content}
    decoded = [_decode(v, tensors) for v in content]
    return decoded if kind == "list" else tuple(decoded)
