"""What every learner of rewards does: act, and learn from an episode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue.reinforcement._environment import Environment

__all__ = ["Learner", "play"]


class Learner(ABC):
    """Learns from episodes which actions bring reward."""

    @abstractmethod
    def values(self, seen: Tensor) -> Tensor:
        """Return how good each action is, (actions,): the largest is taken where nothing is to be learned."""

    @abstractmethod
    def episode(self, world: Environment, generator: torch.Generator) -> float:
        """Play an episode to learn from it, and return the sum of its rewards."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""

    def act(self, seen: Tensor) -> int:
        """Return the best action, by what was learned."""
        return int(self.values(seen).argmax())


def play(learner: Learner, world: Environment, generator: torch.Generator) -> float:
    """Play an episode with the best actions by what was learned, and return the sum of its rewards."""
    seen, total = world.reset(generator), 0.0
    for _ in range(world.limit):
        seen, reward, end = world.step(learner.act(seen), generator)
        total += reward
        if end:
            break
    return total


def chance_of(episode: int, first: float, last: float, episodes: int) -> float:
    """Return a rate that falls in a line from ``first`` to ``last`` over so many episodes.

    Example:
        >>> [chance_of(i, 1.0, 0.0, 4) for i in (0, 2, 9)]
        [1.0, 0.5, 0.0]
    """
    return last + (first - last) * max(0.0, 1 - episode / episodes)
