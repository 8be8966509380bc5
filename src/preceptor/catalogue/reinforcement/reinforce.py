"""REINFORCE: a policy that is made more likely to do what brought reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.catalogue._checks import check_count, check_number
from preceptor.catalogue._registry import get, registered
from preceptor.catalogue.reinforcement._environment import Environment
from preceptor.catalogue.reinforcement._learner import Learner

__all__ = ["Reinforce", "returns"]


def returns(rewards: Sequence[float], discount: float) -> Tensor:
    """Return G_t = r_t + discount · G_{t+1} for each step.

    Example:
        >>> returns([1.0, 0.0, 2.0], 0.5)
        tensor([1.5000, 1.0000, 2.0000])
    """
    ahead, found = 0.0, []
    for reward in reversed(rewards):
        ahead = reward + discount * ahead
        found.append(ahead)
    return torch.tensor(found[::-1])


@registered(
    kind="learner",
    name="reinforce",
    aliases=("policy-gradient", "monte-carlo-policy-gradient", "reinforce-with-baseline"),
    formula="π = softmax of a network; after every batch episodes one step of Adam down the gradient of "
    "−mean_t A_t log π(a_t | s_t) − entropy · H(π) + ½ mean_t (V(s_t) − G_t)², A = G − V(s) scaled to "
    "mean 0 and "
    "deviation 1, G_t = Σ_k discount^k r_{t+k}, V a second network, the baseline",
    shapes="(size,) → the logit of each action, (actions,)",
    when="policies rather than values: what is done at random stays possible",
    pitfalls="every step is learned from once: many episodes; the variance is large, even with a baseline",
    source="Williams, Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement "
    "Learning, "
    "1992",
    differs="A is scaled over the batch, so that lr means the same for rewards of any size",
    example=">>> learner = get('reinforce', (4,), 2, hidden=(8,))\n"
    ">>> learner.values(torch.zeros(4)).softmax(0).sum()\ntensor(1.)",
)
class Reinforce(Learner):
    """Policy gradient over whole episodes, with a learned baseline."""

    def __init__(
        self,
        inputs: Sequence[int],
        actions: int,
        hidden: int | Sequence[int] = (64,),
        lr: float = 1e-2,
        discount: float = 0.99,
        batch: int = 10,
        entropy: float = 0.01,
    ) -> None:
        self.discount = check_number("reinforce", "discount", discount, 0.0, 1.0)
        self.batch = check_count("reinforce", "batch", batch)
        self.entropy = check_number("reinforce", "entropy", entropy, 0.0)
        self.policy = get("mlp", inputs, actions, kind="architecture", hidden=hidden)
        self.baseline = get("mlp", inputs, 1, kind="architecture", hidden=hidden)
        both = [*self.policy.parameters(), *self.baseline.parameters()]
        self.optimizer = torch.optim.Adam(both, lr=check_number("reinforce", "lr", lr, 0.0))
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    @torch.no_grad()
    def values(self, seen: Tensor) -> Tensor:
        """Return the policy's logits."""
        made: Tensor = self.policy(seen[None])[0]
        return made

    def episode(self, world: Environment, generator: torch.Generator) -> float:
        """Play by the policy's chances; learn where enough episodes have been played."""
        seen = world.reset(generator)
        path, actions, rewards = [], [], []
        for _ in range(world.limit):
            chances = self.values(seen).softmax(0)
            action = int(torch.multinomial(chances, 1, generator=generator))
            path.append(seen)
            actions.append(action)
            seen, reward, end = world.step(action, generator)
            rewards.append(reward)
            if end:
                break
        self._waiting.append((torch.stack(path), torch.tensor(actions), returns(rewards, self.discount)))
        if len(self._waiting) >= self.batch:
            self.learn(*(torch.cat(part) for part in zip(*self._waiting, strict=True)))
            self._waiting = []
        return sum(rewards)

    def learn(self, seen: Tensor, actions: Tensor, reached: Tensor) -> None:
        """Take one step by what was seen (T, size), done (T,) and reached (T,) from there on."""
        value = self.baseline(seen)[:, 0]
        advantage = (reached - value).detach()
        advantage = (advantage - advantage.mean()) / advantage.std(correction=0).clamp_min(1e-8)
        chances = self.policy(seen).log_softmax(1)
        said = chances.gather(1, actions[:, None])[:, 0]
        entropy = -(chances.exp() * chances).sum(1).mean()
        loss = -(advantage * said).mean() - self.entropy * entropy
        self.optimizer.zero_grad()
        (loss + nn.functional.mse_loss(value, reached) / 2).backward()
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return networks, optimizer, and the episodes that wait to be learned from."""
        return {
            "policy": dict(self.policy.state_dict()),
            "baseline": dict(self.baseline.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "waiting": self._waiting,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.policy.load_state_dict(state["policy"])
        self.baseline.load_state_dict(state["baseline"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._waiting = [tuple(part.clone() for part in one) for one in state["waiting"]]
