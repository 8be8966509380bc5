"""What optimizers make of a gradient that stays the same, and of one that jumps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, near, told

_RMSPROP = "Tieleman and Hinton, Lecture 6.5: RMSProp, 2012"
_ADAM = "Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015"
_DUCHI = "Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011"


def _moves(
    name: str, steps: int, gradient: Callable[[int], float] = lambda _: 1.0, **options: Any
) -> list[float]:
    """Return how far a weight is moved at each step, with a learning rate of one."""
    w = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = get(name, kind="optimizer", lr=1.0, **options)([w])
    places = [0.0]
    for step in range(steps):
        w.grad = torch.full_like(w, gradient(step))
        optimizer.step()
        places.append(w.item())
    return [before - after for before, after in pairwise(places)]


def _accumulating(steps: int) -> float:
    """Return how far RMSProp moves that adds its running mean to itself."""
    mean, way = 0.0, 0.0
    for _ in range(steps):
        mean += 0.9 * mean + 0.1
        way += 1 / (mean**0.5 + 1e-8)
    return way


def _spike(step: int) -> float:
    return 100.0 if 200 <= step < 220 else 1.0


def _recovery(moves: list[float]) -> int:
    """Return the steps after the spike until a step is again half as long as before it."""
    return next((i for i, move in enumerate(moves[220:]) if move > 0.5 * moves[199]), len(moves))


@lab(
    "optimization",
    {
        "momentum-terminal-speed": Claim(
            "Under a constant gradient momentum β speeds up to 1/(1−β) times the plain step.",
            source="Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964",
            reference="10 times with 0.9, 100 times with 0.99",
        ),
        "adagrad-slows-down": Claim(
            "AdaGrad's steps only ever shorten: 10,000 of them go as far as 198.5 of its first.",
            source=_DUCHI,
            reference="198.5, the sum of 1/√t",
        ),
        "rmsprop-forgets": Claim(
            "After a burst of large gradients RMSProp's steps recover within a few times 1/(1−ρ) steps; "
            "AdaGrad's hardly do.",
            source=_RMSPROP,
        ),
        "rmsprop-mean-not-sum": Claim(
            "RMSProp's running mean must be replaced, not added to: added to, all steps together go no "
            "further than 9.34 learning rates.",
            source=_RMSPROP,
            reference="9.34 against 209 learning rates in 200 steps",
            instead_of="grad_squared += decay * grad_squared + (1 − decay) * dx * dx",
        ),
        "adam-bias-correction": Claim(
            "Without the correction of its bias, Adam's first steps are up to 6.6 times too long.",
            source=_ADAM,
            reference="3.16 learning rates at the first step, 6.57 at the twelfth; corrected 1.00 at all",
        ),
    },
    data="a gradient of one, learning rate one; for RMSProp and AdaGrad with twenty gradients of 100 in "
    "between",
    rule="lengths of steps within 1 % of the published ones; half of the former step again within 20/(1−ρ) "
    "steps after the burst, and for AdaGrad not within ten times as many as RMSProp with ρ = 0.9 takes",
)
def constant_gradient(setup: Setup) -> Evidence:
    """Measure steps under a constant gradient, and after a burst of larger ones."""
    momentum = {b: _moves("momentum", steps, momentum=b)[-1] for b, steps in ((0.9, 200), (0.99, 1500))}
    adagrad = sum(_moves("adagrad", 10_000))
    plain, corrected = _moves("adam-uncorrected", 30), _moves("adam", 30)
    burst = {
        rho: _recovery(_moves("rmsprop", 2500 if rho == 0.99 else 600, _spike, alpha=rho))
        for rho in (0.9, 0.99)
    }
    slow = _moves("adagrad", 220 + 10 * burst[0.9], _spike)
    checks = {
        "momentum-terminal-speed": [
            near(f"speed with momentum {b}", [speed], 1 / (1 - b), within=0.01 / (1 - b))
            for b, speed in momentum.items()
        ],
        "adagrad-slows-down": [near("way of 10,000 steps", [adagrad], 198.5, within=1.0)],
        "rmsprop-forgets": [
            *(
                exact(f"steps to recover, ρ = {rho}, beyond 20/(1−ρ)", max(0.0, steps - 20 / (1 - rho)))
                for rho, steps in burst.items()
            ),
            *(told(f"steps to recover, ρ = {rho}", steps) for rho, steps in burst.items()),
            above("AdaGrad's step before the burst over that after it", [slow[199] / slow[-1]] * 2, 2.0),
        ],
        "rmsprop-mean-not-sum": [
            near("way of 200 steps, added to", [_accumulating(200)], 9.34, within=0.05),
            near("way of 200 steps, replaced", [sum(_moves("rmsprop", 200))], 209, within=2),
        ],
        "adam-bias-correction": [
            near("first step, uncorrected", [plain[0]], 3.16, within=0.02),
            near("twelfth step, uncorrected", [plain[11]], 6.57, within=0.03),
            near("longest step, corrected", [max(corrected)], 1.0, within=1e-3),
        ],
    }
    figure = Figure(
        "Adam's first steps under a constant gradient",
        "step",
        "length in learning rates",
        {"uncorrected": plain, "corrected": corrected},
        range(1, 31),
    )
    return Evidence(checks, figure)
