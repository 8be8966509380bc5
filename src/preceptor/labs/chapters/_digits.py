"""The handwritten digits as plain tensors, for labs about arithmetic rather than a whole training."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from preceptor.data import load

__all__ = ["digits"]


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Return x (1797, 64), each pixel of mean 0 and, where it varies, deviation 1, and y (1797,)."""
    read = load("digits")
    x = torch.from_numpy(np.asarray(read.inputs)).reshape(len(read.targets), -1).float()
    std = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(std > 0, std, 1.0), torch.from_numpy(np.asarray(read.targets)).long()
