"""Random generators: capture, restore and fence off every one that training can draw from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["capture", "deterministic", "restore", "seeded"]


def capture() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's global generators, as plain data and tensors.

    Example:
        >>> state = capture()
        >>> first = torch.rand(2)
        >>> restore(state)
        >>> bool((torch.rand(2) == first).all())
        True
    """
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if _cuda_in_use() else [],
        "numpy": {
            "name": name,
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "rest": [int(position), int(has_gauss), float(cached)],
        },
        "python": {"version": version, "words": torch.tensor(words, dtype=torch.int64), "gauss": gauss},
    }


def _cuda_in_use() -> bool:
    """Whether anything runs on a GPU: asking its generators would otherwise start it up."""
    return bool(torch.cuda.is_initialized())


def restore(state: dict[str, Any]) -> None:
    """Put back what `capture` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    numpy_state = state["numpy"]
    keys = numpy_state["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy_state["name"], keys, *numpy_state["rest"]))
    words = tuple(state["python"]["words"].tolist())
    random.setstate((state["python"]["version"], words, state["python"]["gauss"]))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every global generator for the duration of a block, and leave the caller's as they were.

    Example:
        >>> with seeded(0):
        ...     a = torch.rand(1)
        >>> with seeded(0):
        ...     b = torch.rand(1)
        >>> bool(a == b)
        True
    """
    before = capture()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        yield
    finally:
        restore(before)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Insist on deterministic kernels for the duration of a block, where wanted.

    Example:
        >>> with deterministic(True):
        ...     torch.are_deterministic_algorithms_enabled()
        True
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
