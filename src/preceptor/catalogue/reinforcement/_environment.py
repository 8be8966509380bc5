"""What every environment is: states, actions, rewards, and an end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Environment", "Step", "one_hot"]


class Step(NamedTuple):
    """What an action led to: what is seen next, the reward, and whether that was the end."""

    seen: Tensor
    reward: float
    end: bool


class Environment(ABC):
    """A world to act in, episode after episode.

    All chance comes from the generator that each call is given, so that an episode can be played again.

    Attributes:
        actions: how many there are, 0 … actions − 1.
        size: how many numbers are seen; of finitely many states, one for each.
        finite: whether what is seen marks one of finitely many states.
        limit: steps after which an episode is cut short.
        best: the mean return of the best that can be done.
    """

    actions: int
    size: int
    finite: bool
    limit: int
    best: float

    @abstractmethod
    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin an episode; return what is seen, (size,)."""

    @abstractmethod
    def step(self, action: int, generator: torch.Generator) -> Step:
        """Act once."""


def one_hot(state: int, size: int) -> Tensor:
    """Return a row with a 1 in one place.

    Example:
        >>> one_hot(1, 3)
        tensor([0., 1., 0.])
    """
    row = torch.zeros(size)
    row[state] = 1.0
    return row
