"""Quasi-Newton methods: with the whole training set and with small batches, and what an iteration costs."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, slope, told
from preceptor.labs.chapters._digits import digits

_NOCEDAL = "Nocedal and Wright, Numerical Optimization, 2006"


class _Regression:
    """Softmax regression on the digits with a little decay, and how often it was evaluated."""

    def __init__(self, seed: int) -> None:
        self.x, self.y = (part.double() if part.is_floating_point() else part for part in digits())
        self.w = torch.zeros(64, 10, dtype=torch.float64, requires_grad=True)
        self.generator = torch.Generator().manual_seed(seed)
        self.evaluations = 0.0

    def loss(self, rows: Tensor | slice = slice(None)) -> Tensor:
        fit = nn.functional.cross_entropy(self.x[rows] @ self.w, self.y[rows])
        return fit + 0.5e-3 * self.w.square().sum()

    def gradient(self, rows: Tensor | None = None) -> Tensor:
        self.evaluations += 1.0 if rows is None else len(rows) / len(self.x)
        self.w.grad = None
        loss = self.loss(slice(None) if rows is None else rows)
        loss.backward()
        return loss

    def draw(self, batch: int | None) -> Tensor | None:
        """Return the places of a new batch; None stands for all examples."""
        return None if batch is None else torch.randperm(len(self.x), generator=self.generator)[:batch]

    def now(self) -> float:
        with torch.no_grad():
            return float(self.loss())


def _lbfgs(seed: int, batch: int | None, budget: float) -> float:
    """Return the loss once the budget, in passes over all examples, is spent."""
    problem = _Regression(seed)
    optimizer = get("l-bfgs", kind="optimizer", max_iter=4)([problem.w])
    while problem.evaluations < budget:
        rows = problem.draw(batch)
        optimizer.step(partial(problem.gradient, rows))
    return problem.now()


def _sgd(seed: int, lr: float, batch: int | None, budget: float) -> float:
    """Return the loss once the budget is spent."""
    problem = _Regression(seed)
    optimizer = get("sgd", kind="optimizer", lr=lr)([problem.w])
    while problem.evaluations < budget:
        problem.gradient(problem.draw(batch))
        optimizer.step()
    return problem.now()


@lab(
    "optimization",
    {
        "l-bfgs-full-batch": Claim(
            "On a smooth problem with the whole training set in each step L-BFGS comes closer to the "
            "minimum than "
            "gradient descent, and than SGD, for the same number of examples looked at.",
            source="Liu and Nocedal, On the Limited Memory BFGS Method, 1989",
        ),
        "l-bfgs-mini-batches": Claim(
            "With a new small batch in each step L-BFGS breaks down: differences of gradients are then "
            "differences of "
            "batches.",
            source="Bottou, Curtis and Nocedal, Optimization Methods for Large-Scale Machine Learning, 2018",
        ),
    },
    data="digits, softmax regression with a decay of 1e-3, forty passes over the examples; batches of 32; "
    "rates of "
    "the others the best of four",
    rule="excess over the least loss known: gradient descent's and SGD's ten times L-BFGS's at least; "
    "L-BFGS with "
    "batches ten times SGD's at least",
)
def quasi_newton(setup: Setup) -> Evidence:
    """Minimise a convex loss by L-BFGS and by gradient descent, in full and by small batches."""
    seeds, budget = setup.seeds(4, 12), setup.size(40.0, 120.0)
    least = _lbfgs(0, None, 10 * budget)
    full = max(_lbfgs(0, None, budget) - least, 1e-12)
    rates = (0.03, 0.1, 0.3, 1.0)
    whole = min(_sgd(0, lr, None, budget) for lr in rates) - least
    single = {lr: _sgd(seeds[0], lr, 32, budget) for lr in rates[:3]}
    lr = min(single, key=single.__getitem__)
    by_batch = [_sgd(seed, lr, 32, budget) - least for seed in seeds]
    broken = [min(_lbfgs(seed, 32, budget), 1e6) - least for seed in seeds]
    checks = {
        "l-bfgs-full-batch": [
            above("excess of gradient descent over L-BFGS's", [whole / full] * 2, 10.0),
            above("excess of SGD over L-BFGS's", [value / full for value in by_batch], 10.0),
        ],
        "l-bfgs-mini-batches": [
            above(
                "excess of L-BFGS with batches over SGD's",
                [a / b for a, b in zip(broken, by_batch, strict=True)],
                10.0,
            )
        ],
    }
    figure = Figure(
        "Excess of the loss after forty passes",
        "method",
        "excess",
        {"excess": [full, whole, float(np.mean(by_batch)), float(np.mean(broken))]},
        ["L-BFGS", "descent", "SGD", "L-BFGS, batches"],
        kind="bars",
        log="y",
    )
    return Evidence(checks, figure)


def _per_iteration(name: str, n: int, iterations: int) -> float:
    """Return the shortest time of an iteration on a quadratic of n unknowns, beyond what gradients cost."""
    curvature = torch.linspace(1, 100, n, dtype=torch.float64)
    w = torch.ones(n, dtype=torch.float64, requires_grad=True)
    inside = 0.0

    def closure() -> Tensor:
        nonlocal inside
        began = time.thread_time()
        w.grad = curvature * w.detach()
        loss = 0.5 * (w.grad @ w.detach())
        inside += time.thread_time() - began
        return loss

    optimizer = get(name, kind="optimizer", max_iter=1, tolerance_grad=0.0)([w])
    spent = []
    for _ in range(iterations):
        inside, began = 0.0, time.thread_time()
        optimizer.step(closure)
        spent.append(time.thread_time() - began - inside)
    return min(spent[3:])


@lab(
    "optimization",
    {
        "bfgs-is-quadratic": Claim(
            "An iteration of BFGS takes time in proportion to the square of the number of parameters, one "
            "of L-BFGS in "
            "proportion to the number.",
            source=_NOCEDAL,
        )
    },
    data="quadratics of 2,000 to 5,000 unknowns for BFGS, of 500,000 to 2,000,000 for L-BFGS: where the "
    "arithmetic outweighs the calls, and no cache holds the numbers",
    rule="the shortest of several iterations grows as a power nearer to 2 than to 1 or 3, and nearer to 1 "
    "than to 0 or 2",
)
def quasi_newton_cost(setup: Setup) -> Evidence:
    """Time iterations of BFGS and of L-BFGS by the number of unknowns."""
    small = [2000, 2500, 3000, 4000, 5000, *setup.size([], [6000, 8000])]
    large = [500_000, 1_000_000, 2_000_000, *setup.size([], [4_000_000, 8_000_000])]
    count = setup.size(9, 15)
    bfgs = [_per_iteration("bfgs", n, count) for n in small]
    limited = [_per_iteration("l-bfgs", n, count + 8) for n in large]
    checks = [
        slope("time of BFGS", small, bfgs, 2.0, within=0.5),
        slope("time of L-BFGS", large, limited, 1.0, within=0.5),
        told("seconds of BFGS, 4,000 unknowns", bfgs[3]),
        told("seconds of L-BFGS, a million unknowns", limited[1]),
    ]
    figure = Figure("Time of an iteration of BFGS", "unknowns", "seconds", {"BFGS": bfgs}, small, log="xy")
    return Evidence({"bfgs-is-quadratic": checks}, figure)
