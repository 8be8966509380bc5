"""Tensors, and trees of tensors, numbers and text, stored without pickle and with a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from preceptor.errors import CheckpointError
from preceptor.files import atomic
from preceptor.seals import KEY, checksum

__all__ = ["load_tensors", "load_tree", "save_tensors", "save_tree"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> None:
    """Write tensors, and texts about them, as one safetensors file, whole or not at all.

    The file's header holds a checksum of all that, so that damage is noticed.

    Raises:
        StorageError: the file could not be written.
    """
    # A copy of its own: safetensors refuses tensors that share memory, as tied weights do.
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    texts = dict(texts or {})
    with atomic(path) as temporary:
        save_file(own, temporary, metadata={**texts, KEY: _checksum(own, texts)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a safetensors file, and its texts; another program's file has no checksum.

    Raises:
        CheckpointError: the file is missing, cut short, damaged, or not of this form.
    """
    try:
        with safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
            # A copy of its own: sums over memory that begins elsewhere in a cache line round otherwise.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - a file is no mapping
        written = texts.pop(KEY, None)
        if written is not None and written != _checksum(tensors, texts):
            raise ValueError("its content has changed since it was written")  # noqa: TRY301 - told below with the other kinds of damage
    except (OSError, SafetensorError, ValueError) as error:
        raise _unreadable(path, error) from error
    return tensors, texts


def _checksum(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    parts: list[Any] = [json.dumps(texts, sort_keys=True).encode()]
    for name in sorted(tensors):
        value = tensors[name]
        parts.append(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        parts.append(value.reshape(-1).view(torch.uint8).numpy())
    return checksum(*parts)


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"cannot read {path}",
        expected="a safetensors file written by preceptor, unchanged",
        received=f"{type(error).__name__}: {error}",
    )


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
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_encode(tree, "", tensors))
    save_tensors(path, tensors, {"tree": structure})


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote.

    Raises:
        CheckpointError: the file is missing, cut short, damaged, or not of this form.
    """
    tensors, texts = load_tensors(path)
    try:
        return _decode(json.loads(texts["tree"]), tensors)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, error) from error


def _encode(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[where] = value
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


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_decode(k, {}): _decode(v, tensors) for k, v in content}
    decoded = [_decode(v, tensors) for v in content]
    return decoded if kind == "list" else tuple(decoded)
