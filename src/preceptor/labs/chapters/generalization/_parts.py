"""The examples that a training of these labs is tested on."""

from __future__ import annotations

import torch
from torch import Tensor

import preceptor
from preceptor.errors import DataError

__all__ = ["tested_on"]


def tested_on(run: preceptor.Run) -> tuple[Tensor, Tensor]:
    """Return inputs and classes of the test part, as the network takes them.

    Raises:
        DataError: nothing was held out.
    """
    part = run.part("test")
    if part is None:
        raise DataError("no test examples were held out", expected="data.test above 0", received="none")
    return torch.as_tensor(part.x), part.y
