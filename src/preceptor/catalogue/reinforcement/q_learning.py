"""Q-learning: with a table, and with a network in its place."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.reinforcement._environment import Environment
from preceptor.catalogue.reinforcement._learner import Learner, chance_of
from preceptor.errors import ConfigError

__all__ = ["DeepQLearning", "QLearning"]


@registered(
    kind="learner",
    name="q-learning",
    aliases=("tabular-q-learning", "q-table"),
    formula="Q(s, a) ← Q(s, a) + lr · (r + discount · max_a′ Q(s′, a′) − Q(s, a)), without the second "
    "term at the "
    "end; a = argmax Q(s, ·), and at random with probability ε, which falls in a line from 1 to epsilon over "
    "exploring episodes",
    shapes="(size,) one-hot → the value of each action, (actions,)",
    when="finitely many states",
    pitfalls="a table for every state: nothing is told of states that were not visited",
    source="Watkins and Dayan, Q-Learning, 1992",
    example=">>> learner, world = get('q-learning', (5,), 2), get('chain')\n"
    ">>> chance = torch.Generator().manual_seed(0)\n"
    ">>> for _ in range(100):\n...     _ = learner.episode(world, chance)\n"
    ">>> [learner.act(row) for row in torch.eye(5)]\n[1, 1, 1, 1, 1]",
)
class QLearning(Learner):
    """Table of the values of actions, learned from one step to the next."""

    def __init__(
        self,
        inputs: Sequence[int],
        actions: int,
        lr: float = 0.2,
        discount: float = 0.98,
        epsilon: float = 0.05,
        exploring: int = 100,
    ) -> None:
        self.lr = check_number("q-learning", "lr", lr, 0.0, 1.0)
        self.discount = check_number("q-learning", "discount", discount, 0.0, 1.0)
        self.epsilon = check_number("q-learning", "epsilon", epsilon, 0.0, 1.0)
        self.exploring = check_count("q-learning", "exploring", exploring)
        (size,) = inputs
        self.table = torch.zeros(size, actions, dtype=torch.float64)
        self.episodes = 0

    def values(self, seen: Tensor) -> Tensor:
        """Return the row of the state."""
        return self.table[int(seen.argmax())]

    def episode(self, world: Environment, generator: torch.Generator) -> float:
        """Play and learn from each step at once."""
        chance = chance_of(self.episodes, 1.0, self.epsilon, self.exploring)
        state, total = int(world.reset(generator).argmax()), 0.0
        for _ in range(world.limit):
            action = int(self.table[state].argmax())
            if float(torch.rand((), generator=generator)) < chance:
                action = int(torch.randint(world.actions, (), generator=generator))
            seen, reward, end = world.step(action, generator)
            there, total = int(seen.argmax()), total + reward
            ahead = 0.0 if end else self.discount * float(self.table[there].max())
            self.table[state, action] += self.lr * (reward + ahead - float(self.table[state, action]))
            if end:
                break
            state = there
        self.episodes += 1
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return the table and the count of episodes."""
        return {"table": self.table, "episodes": self.episodes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.table, self.episodes = state["table"].clone(), int(state["episodes"])


@registered(
    kind="learner",
    name="deep-q-learning",
    aliases=("dqn", "deep-q-network"),
    formula="minimise huber(Q(s, a) − (r + discount · max_a′ Q⁻(s′, a′))) by Adam on batches drawn from "
    "the last "
    "memory steps, one batch a step; Q⁻ is Q as it was at most renew steps ago; ε as in q-learning",
    shapes="(size,) → the value of each action, (actions,)",
    when="numbers in place of states, steps that are costly: each is learned from many times",
    pitfalls="may forget what it could: look at several seeds, and keep the best",
    source="Mnih et al., Human-level Control through Deep Reinforcement Learning, 2015",
    differs="Huber's loss in place of clipped errors; no images, no frames that are skipped",
    example=">>> learner = get('dqn', (4,), 2, hidden=(8,))\n>>> "
    "learner.values(torch.zeros(4)).shape\ntorch.Size([2])",
)
class DeepQLearning(Learner):
    """Network that gives the values of actions, learned from remembered steps."""

    def __init__(
        self,
        inputs: Sequence[int],
        actions: int,
        hidden: int | Sequence[int] = (64, 64),
        lr: float = 1e-3,
        discount: float = 0.99,
        epsilon: float = 0.05,
        exploring: int = 50,
        batch_size: int = 64,
        memory: int = 10_000,
        renew: int = 200,
    ) -> None:
        owner = "deep-q-learning"
        self.discount = check_number(owner, "discount", discount, 0.0, 1.0)
        self.epsilon = check_number(owner, "epsilon", epsilon, 0.0, 1.0)
        for option, value in (("exploring", exploring), ("batch_size", batch_size), ("renew", renew)):
            check_count(owner, option, value)
        self.exploring, self.batch_size, self.renew = exploring, batch_size, renew
        if check_count(owner, "memory", memory) < batch_size:
            raise ConfigError(
                f"{owner}: memory is not usable", expected=f"at least {batch_size}", received=str(memory)
            )
        self.network = get("mlp", inputs, actions, kind="architecture", hidden=hidden)
        self.older = copy.deepcopy(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=check_number(owner, "lr", lr, 0.0))
        size = int(torch.tensor(tuple(inputs)).prod())
        self.memory = {
            "seen": torch.zeros(memory, size),
            "action": torch.zeros(memory, dtype=torch.int64),
            "reward": torch.zeros(memory),
            "next": torch.zeros(memory, size),
            "goes_on": torch.zeros(memory),
        }
        self.episodes = self.steps = 0

    @torch.no_grad()
    def values(self, seen: Tensor) -> Tensor:
        """Return what the network gives."""
        made: Tensor = self.network(seen[None])[0]
        return made

    def episode(self, world: Environment, generator: torch.Generator) -> float:
        """Play, remember each step, and learn from a batch of remembered ones after each."""
        chance = chance_of(self.episodes, 1.0, self.epsilon, self.exploring)
        seen, total = world.reset(generator), 0.0
        for _ in range(world.limit):
            explores = float(torch.rand((), generator=generator)) < chance
            drawn = int(torch.randint(world.actions, (), generator=generator))
            action = drawn if explores else self.act(seen)
            before, (seen, reward, end) = seen, world.step(action, generator)
            place = self.steps % len(self.memory["action"])
            known: dict[str, Any] = {
                "seen": before,
                "action": action,
                "reward": reward,
                "next": seen,
                "goes_on": not end,
            }
            for name, value in known.items():
                self.memory[name][place] = value
            self.steps += 1
            total += reward
            self._learn(generator)
            if end:
                break
        self.episodes += 1
        return total

    def _learn(self, generator: torch.Generator) -> None:
        known = min(self.steps, len(self.memory["action"]))
        if known < self.batch_size:
            return
        rows = torch.randint(known, (self.batch_size,), generator=generator)
        batch = {name: values[rows] for name, values in self.memory.items()}
        with torch.no_grad():
            ahead = self.older(batch["next"]).amax(1)
        aim = batch["reward"] + self.discount * batch["goes_on"] * ahead
        said = self.network(batch["seen"]).gather(1, batch["action"][:, None])[:, 0]
        self.optimizer.zero_grad()
        nn.functional.smooth_l1_loss(said, aim).backward()
        self.optimizer.step()
        if self.steps % self.renew == 0:
            self.older.load_state_dict(self.network.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return networks, optimizer, memory and counts."""
        return {
            "network": dict(self.network.state_dict()),
            "older": dict(self.older.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "memory": self.memory,
            "episodes": self.episodes,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.network.load_state_dict(state["network"])
        self.older.load_state_dict(state["older"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory = {name: values.clone() for name, values in state["memory"].items()}
        self.episodes, self.steps = int(state["episodes"]), int(state["steps"])
