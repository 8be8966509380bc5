"""Trees of tensors, numbers and text, stored without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from preceptor.errors import CheckpointError
from preceptor.files import atomic

__all__ = ["load_tree", "save_tree"]


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
            # A copy of its own: sums over memory that begins elsewhere in a cache line round otherwise.
            return _decode(structure, {name: file.get_tensor(name).clone() for name in file.keys()})  # noqa: SIM118
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
