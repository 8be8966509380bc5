"""Images kept as bytes, of which float32 is made when examples are taken: a quarter of the memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.data._dataset import Array, Dataset
from preceptor.data._preprocess import Preprocessor
from preceptor.data._scaler import Scaler

__all__ = ["LARGE", "Pixels", "as_pixels", "subset"]

LARGE = 1 << 28  # bytes of images in float32 from which on they are kept as bytes
_LEVELS = 256


@dataclass(frozen=True, eq=False)
class Pixels:
    """Some images of a set that is kept as bytes; what is taken from them is scaled as `Preprocessor` scales.

    A byte has 256 values, so that scaling looks up: x[n, c, i, j] = table[256 c + bytes[rows[n], c, i, j]].

    Attributes:
        bytes: all images of the set, (N, C, H, W) uint8, shared by its parts.
        rows: which of them these are, (n,) int64.
        table: float32, (256 C,).

    Example:
        >>> table = torch.arange(256.0) / 255
        >>> x = Pixels(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), torch.tensor([0, 2]), table)
        >>> len(x), tuple(x.shape), x[:1].sum()
        (2, (2, 1, 2, 2), tensor(4.))
    """

    bytes: Tensor
    rows: Tensor
    table: Tensor

    dtype = torch.float32

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """The shape that all of them have as float32."""
        return torch.Size((len(self.rows), *self.bytes.shape[1:]))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.bytes.ndim

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.bytes.device

    def element_size(self) -> int:
        """Return the bytes that one number takes once it is taken."""
        return 4

    def __getitem__(self, index: Any) -> Tensor:
        """Return examples, or one, as float32."""
        taken = self.bytes[self.rows[index]]
        axes = (-1,) + (1,) * (self.ndim - 2)
        start = _LEVELS * torch.arange(self.bytes.shape[1], device=self.device, dtype=torch.int32)
        where = taken.int() + start.reshape(axes)
        return self.table.index_select(0, where.flatten()).reshape(taken.shape)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return the examples at these places as float32; ``dim`` is 0, as batches ask for it."""
        return self[index]

    def subset(self, index: Tensor) -> Pixels:
        """Return the examples at these places, still as bytes."""
        return replace(self, rows=self.rows[index])

    def to(self, device: torch.device | str) -> Pixels:
        """Return them on another device, which receives no others."""
        if torch.device(device) == self.device:
            return self
        own = torch.arange(len(self.rows), device=device)
        return Pixels(self.bytes[self.rows].to(device), own, self.table.to(device))


def as_pixels(dataset: Dataset, preprocessor: Preprocessor) -> Pixels | None:
    """Return all images of a data set kept as bytes, where they are bytes and float32 would be large."""
    values, encoder = dataset.inputs, preprocessor.encoder
    if dataset.kind != "images" or not isinstance(values, np.ndarray) or not isinstance(encoder, Scaler):
        return None
    if values.dtype != np.uint8 or 4 * math.prod(values.shape) < LARGE or not values.flags.writeable:
        return None
    levels: Array = np.arange(_LEVELS, dtype=np.float64)[:, None, None, None]
    every = np.broadcast_to(levels, (_LEVELS, values.shape[1], 1, 1))
    table = replace(encoder, shape=every.shape[1:]).apply(np.ascontiguousarray(every))
    whole = torch.from_numpy(np.ascontiguousarray(values))
    return Pixels(whole, torch.arange(len(values)), table[..., 0, 0].T.flatten())


def subset(x: Tensor | Pixels, index: Tensor) -> Tensor | Pixels:
    """Return the examples at these places in the form in which they are kept."""
    return x.subset(index) if isinstance(x, Pixels) else x[index]
