"""Blocks that a user made in code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from preceptor.training.source import Source

__all__ = ["Objects"]


@dataclass
class Objects:
    """Blocks that a user made in code; each takes the place of the experiment's name for it."""

    model: nn.Module | Callable[[], nn.Module] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    optimizer: Optimizer | Callable[..., Optimizer] | None = None
    schedule: LRScheduler | Callable[[Optimizer], LRScheduler] | None = None
    regularizers: dict[int, Any] = field(default_factory=dict)  # by their place in the list
    augmentations: dict[int, Any] = field(default_factory=dict)
    source: Source | None = None  # what the weights come from
