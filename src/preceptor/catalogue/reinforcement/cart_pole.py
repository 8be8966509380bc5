"""A pole on a cart, to be balanced."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from preceptor.catalogue._checks import check_count
from preceptor.catalogue._registry import registered
from preceptor.catalogue.reinforcement._environment import Environment, Step

__all__ = ["CartPole"]

_GRAVITY, _CART, _POLE, _HALF, _FORCE, _TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
_FAR, _TILTED = 2.4, 12 * math.pi / 180


@registered(
    kind="environment",
    name="cart-pole",
    aliases=("cartpole", "pole-balancing", "inverted-pendulum"),
    formula="θ̈ = (g sin θ − cos θ · f) / (ℓ (4/3 − m cos² θ/M)), f = (±10 + m ℓ θ̇² sin θ)/M, ẍ = f − m "
    "ℓ θ̈ cos θ/M; "
    "g = 9.8, m = 0.1, M = 1.1, ℓ = 0.5 (half the pole); Euler's steps of 0.02 s; begun within ±0.05. A "
    "reward of 1 a "
    "step, until |x| > 2.4 or |θ| > 12°",
    shapes="(4,): x, ẋ, θ, θ̇ → 2 actions: push left or right",
    when="a first problem with numbers in place of states: some 20 steps by chance, limit steps at best",
    pitfalls="returns vary much from seed to seed: compare several",
    source="Barto, Sutton and Anderson, Neuronlike Adaptive Elements That Can Solve Difficult Learning "
    "Control "
    "Problems, 1983",
    differs="without friction, as Gymnasium's CartPole",
    example=">>> world, chance = get('cart-pole'), torch.Generator().manual_seed(0)\n"
    ">>> seen = world.reset(chance)\n>>> step = world.step(1, chance)\n>>> step.reward, step.end\n(1.0, "
    "False)",
)
class CartPole(Environment):
    """Cart that is pushed left or right, so that the pole on it does not fall."""

    actions, size, finite = 2, 4, False

    def __init__(self, limit: int = 200) -> None:
        self.limit = check_count("cart-pole", "limit", limit)
        self.best = float(limit)
        self.state = (0.0, 0.0, 0.0, 0.0)

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin nearly upright."""
        drawn = (torch.rand(4, generator=generator, dtype=torch.float64) - 0.5) / 10
        self.state = tuple(drawn.tolist())
        return torch.tensor(self.state, dtype=torch.float32)

    def step(self, action: int, generator: torch.Generator) -> Step:
        """Push for a tick."""
        x, speed, angle, turn = self.state
        mass, weight = _CART + _POLE, _POLE * _HALF
        push = ((_FORCE if action == 1 else -_FORCE) + weight * turn**2 * math.sin(angle)) / mass
        spin = (_GRAVITY * math.sin(angle) - math.cos(angle) * push) / (
            _HALF * (4 / 3 - _POLE * math.cos(angle) ** 2 / mass)
        )
        pull = push - weight * spin * math.cos(angle) / mass
        self.state = (x + _TICK * speed, speed + _TICK * pull, angle + _TICK * turn, turn + _TICK * spin)
        fallen = abs(self.state[0]) > _FAR or abs(self.state[2]) > _TILTED
        return Step(torch.tensor(self.state, dtype=torch.float32), 1.0, fallen)
