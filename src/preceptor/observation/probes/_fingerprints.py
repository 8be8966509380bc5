"""Fingerprints of samples: equal rows have equal ones, whatever batch, layout or device they come in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from preceptor.observation.probes._tensors import plan

__all__ = ["fingerprints"]

_ROWS, _FEATURES, _ELEMENTS = 128, 1 << 14, 1 << 15
_MIXER = 0x5851F42D4C957F2D


@lru_cache(maxsize=32)
def _factors(count: int, device: torch.device) -> Tensor:
    """Odd pseudo-random 64-bit factors (the splitmix64 sequence): the same in every process."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) | np.uint64(1)
    return torch.from_numpy(z.view(np.int64)).to(device)


def fingerprints(rows: Tensor, *, features: int = _FEATURES, every: bool = False) -> Tensor:
    """Hash each row of a tensor (axis 0 is the batch) to 64 bits.

    h = Σⱼ (vⱼ ⊕ ⌊vⱼ / 2⁴⁷⌋) kⱼ mod 2⁶⁴, vⱼ = m wⱼ; w = the bits of the row's elements, packed into 64-bit
    words, m, k = fixed odd factors. Of more than ``features`` elements a strided choice enters, spread over
    the whole row (for images: over every column), so that equal borders do not make images equal. −0.0
    counts as 0.0.

    Arguments:
        rows: at least two axes, real.
        features: elements of a row that enter at most.
        every: whether each row is to have one, however many and long they are.

    Returns:
        one integer for each row: of 128 rows, fewer of long ones (32,768 elements in all, but 8 rows),
        spread evenly over the batch.

    Example:
        >>> a, b = fingerprints(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
        >>> fingerprints(torch.tensor([[3.0, 4.0]])).tolist() == [b]
        True
    """
    entering = min(features, rows.numel() // rows.shape[0])
    most = rows.shape[0] if every else max(8, min(_ROWS, _ELEMENTS // entering))
    if rows.shape[0] > most:
        rows = rows[:: -(-rows.shape[0] // most)]
    flat = rows.reshape(rows.shape[0], -1)
    if flat.shape[1] > features:
        flat = flat[:, :: plan(rows.shape[1:], features)[1]]
    flat = flat.to(torch.uint8) if flat.dtype is torch.bool else flat
    words = _words((flat + 0).contiguous())
    mixed = words * _MIXER  # words of floats end in zeros, and those would swallow most bits of the factors
    mixed ^= mixed >> 47
    return mixed.mul_(_factors(words.shape[1], words.device)).sum(1)


def _words(flat: Tensor) -> Tensor:
    size = flat.element_size()
    if flat.shape[1] * size % 8 == 0 and flat.storage_offset() == 0:
        return flat.view(torch.int64)
    same = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size]
    return flat.view(same).to(torch.int64)
