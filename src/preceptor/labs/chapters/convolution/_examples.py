"""The examples that a run was trained and validated on."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.errors import DataError
from preceptor.run import Run

__all__ = ["examples"]


def examples(run: Run, name: str = "val") -> tuple[Tensor, Tensor]:
    """Return the inputs and targets of a part, as the network takes them.

    Raises:
        DataError: the run has no such part.
    """
    part = run.part(name)
    if part is None:
        raise DataError("the run has no such examples", expected="a part that is not empty", received=name)
    return torch.as_tensor(part.x), part.y
