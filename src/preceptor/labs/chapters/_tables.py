"""The built-in tables as standardised matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from preceptor.data import Dataset

__all__ = ["standardised"]


def standardised(data: Dataset) -> tuple[Tensor, Tensor]:
    """Return the inputs with mean 0 and deviation 1 in each column, and the targets, both in float64.

    Targets that are numbers have mean 0 and deviation 1 too; classes are numbers from 0.
    """
    X = torch.as_tensor(data.inputs, dtype=torch.float64).flatten(1)
    X = (X - X.mean(0)) / X.std(0, correction=0).clamp_min(1e-12)
    if data.target_kind != "numbers":
        return X, torch.from_numpy(np.unique(data.targets, return_inverse=True)[1])
    targets = torch.as_tensor(data.targets, dtype=torch.float64)
    return X, (targets - targets.mean()) / targets.std(correction=0)
