"""Small worlds of finitely many states: a chain, and a grid with walls."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import registered
from preceptor.catalogue.reinforcement._environment import Environment, Step, one_hot

__all__ = ["Chain", "GridWorld"]

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


@registered(
    kind="environment",
    name="chain",
    aliases=("random-walk", "chain-walk"),
    formula="states 1 … length, begun in the middle; action 0 goes left, 1 right; beyond the right end a "
    "reward of "
    "1, beyond the left end of 0, and the end",
    shapes="(length,) one-hot → 2 actions; returns from 0 to 1",
    when="the smallest thing that a learner of rewards must solve: ½ by chance, 1 at best",
    pitfalls="a reward at the end alone: nothing is learned before it was once found",
    source="Sutton and Barto, Reinforcement Learning, 2018, example 6.2",
    example=">>> world, chance = get('chain'), torch.Generator()\n>>> world.reset(chance)\n"
    "tensor([0., 0., 1., 0., 0.])\n>>> world.step(1, chance).seen\ntensor([0., 0., 0., 1., 0.])",
)
class Chain(Environment):
    """Walk on a chain of states, to the end that is rewarded."""

    actions, finite, best = 2, True, 1.0

    def __init__(self, length: int = 5) -> None:
        self.size = check_count("chain", "length", length)
        self.limit = 20 * length
        self.state = length // 2

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin in the middle."""
        self.state = self.size // 2
        return one_hot(self.state, self.size)

    def step(self, action: int, generator: torch.Generator) -> Step:
        """Go left or right."""
        there = self.state + (1 if action == 1 else -1)
        if not 0 <= there < self.size:
            return Step(one_hot(self.state, self.size), float(there == self.size), True)
        self.state = there
        return Step(one_hot(there, self.size), 0.0, False)


@registered(
    kind="environment",
    name="grid-world",
    aliases=("gridworld", "grid"),
    formula="size × size cells, a wall across the middle with a gap at its right end; actions up, right, "
    "down, left; "
    "with probability slip a random one in its place. From the upper left to the lower left corner: a "
    "reward of 1 "
    "there, less 0.01 a step",
    shapes="(size²,) one-hot → 4 actions",
    when="tables of values that can be looked at; what a learner makes of rewards that come late",
    pitfalls="large grids need many episodes until the goal was once found by chance",
    source="Sutton and Barto, Reinforcement Learning, 2018, example 3.5",
    differs="a world of our own; the best return without slips is 1 − 0.01 times the length of the "
    "shortest way",
    example=">>> world = get('grid-world')\n>>> world.size, world.actions, world.best\n(25, 4, 0.88)",
)
class GridWorld(Environment):
    """Grid with a wall: from one corner round the wall to another."""

    actions, finite = 4, True

    def __init__(self, size: int = 5, slip: float = 0.0) -> None:
        self.side = check_count("grid-world", "size", size, 3)
        self.slip = check_number("grid-world", "slip", slip, 0.0, 1.0)
        self.size, self.limit = self.side**2, 20 * self.side
        self.place, self.goal = (0, 0), (self.side - 1, 0)
        self.best = round(1 - 0.01 * self._shortest(), 10)

    def free(self, place: tuple[int, int]) -> bool:
        """Say whether a cell can be entered."""
        row, column = place
        inside = 0 <= row < self.side and 0 <= column < self.side
        return inside and not (row == self.side // 2 and column < self.side - 1)

    def _shortest(self) -> int:
        steps = {(0, 0): 0}
        waiting = deque(steps)
        while waiting:
            row, column = waiting.popleft()
            for down, right in _MOVES:
                there = (row + down, column + right)
                if self.free(there) and there not in steps:
                    steps[there] = steps[row, column] + 1
                    waiting.append(there)
        return steps[self.goal]

    def _seen(self) -> Tensor:
        return one_hot(self.place[0] * self.side + self.place[1], self.size)

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin in the upper left corner."""
        self.place = (0, 0)
        return self._seen()

    def step(self, action: int, generator: torch.Generator) -> Step:
        """Go one cell on, or stay where a wall or the border is."""
        if self.slip and float(torch.rand((), generator=generator)) < self.slip:
            action = int(torch.randint(4, (), generator=generator))
        there = (self.place[0] + _MOVES[action][0], self.place[1] + _MOVES[action][1])
        if self.free(there):
            self.place = there
        end = self.place == self.goal
        return Step(self._seen(), end - 0.01, end)
