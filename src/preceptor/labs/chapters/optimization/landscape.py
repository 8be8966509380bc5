"""The landscape that a descent moves in: saddles, and copies of every minimum."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near, rising

_DAUPHIN = "Dauphin et al., Identifying and Attacking the Saddle Point Problem, 2014"


def _all_positive(size: int, draws: int, generator: np.random.Generator) -> float:
    """Return the share of random symmetric Gaussian matrices without a negative eigenvalue."""
    a = generator.standard_normal((draws, size, size))
    return float((np.linalg.eigvalsh(a + a.transpose(0, 2, 1))[:, 0] > 0).mean())


@lab(
    "optimization",
    {
        "saddles-outnumber-minima": Claim(
            "Of random curvatures the share of minima falls faster than exponentially with the dimension: "
            "saddles are "
            "what a critical point of many dimensions is.",
            source=_DAUPHIN,
            reference="1/2 in one dimension, (2 − √2)/4 = 0.1464 in two; −ln of it grows as the square",
        )
    },
    data="random symmetric Gaussian matrices of 1 to 4 dimensions, 100,000 of each (10 times as many, and "
    "5, in the "
    "long form)",
    rule="shares in one and two dimensions within 0.01 of the exact ones; the factor from each dimension "
    "to the "
    "next falls",
    quick=True,
)
def saddle_points(setup: Setup) -> Evidence:
    """Count minima among random curvatures by dimension."""
    generator = np.random.default_rng(setup.seeds(1)[0])
    sizes = range(1, setup.size(5, 6))
    shares = [_all_positive(size, setup.size(100_000, 1_000_000), generator) for size in sizes]
    factors = [after / before for before, after in itertools.pairwise([1.0, *shares])]
    checks = [
        near("share of minima in one dimension", [shares[0]], 0.5, within=0.01),
        near("share of minima in two dimensions", [shares[1]], (2 - math.sqrt(2)) / 4, within=0.01),
        rising("factor from one dimension to the next", list(sizes), factors, least=0.99, falling=True),
    ]
    figure = Figure(
        "Minima among random critical points", "dimensions", "share", {"minima": shares}, sizes, log="y"
    )
    return Evidence({"saddles-outnumber-minima": checks}, figure)


@lab(
    "optimization",
    {
        "permuted-units-same-function": Claim(
            "Hidden units may change places with their weights: a layer of H units has H! copies of each "
            "network that "
            "compute the same function.",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 5.1.1",
        ),
        "tanh-signs-same-function": Claim(
            "With tanh each unit's weights may also change sign, in and out: 2ᴴ more copies.",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 5.1.1",
        ),
    },
    data="networks of 5 inputs, 4 tanh units and 3 outputs with random weights, in float64",
    rule="all 24 orders have different weights and outputs equal to 1e-12; so have all 16 choices of signs",
    quick=True,
)
def weight_symmetry(setup: Setup) -> Evidence:
    """Compare the outputs of all copies of a network."""
    torch.manual_seed(setup.seeds(1)[0])
    x, hidden = torch.randn(50, 5, dtype=torch.float64), 4
    first, last = nn.Linear(5, hidden).double(), nn.Linear(hidden, 3).double()
    net = nn.Sequential(first, nn.Tanh(), last)
    orders = list(itertools.permutations(range(hidden)))
    worst = max(
        float(get("permute-units", net, "0", order, x, kind="inspection")["difference"]) for order in orders
    )
    W, b, V = (p.detach() for p in (first.weight, first.bias, last.weight))
    different = {tuple(W[list(order)].flatten().tolist()) for order in orders}
    with torch.no_grad():
        outputs = torch.stack(
            [
                torch.tanh(x @ (s[:, None] * W).T + s * b) @ (V * s).T + last.bias
                for s in (
                    torch.tensor(signs, dtype=torch.float64)
                    for signs in itertools.product((1, -1), repeat=hidden)
                )
            ]
        )
        apart = float((outputs - net(x)).abs().max())
    return Evidence(
        {
            "permuted-units-same-function": [
                exact(
                    "copies with weights of their own, less 4!", abs(len(different) - math.factorial(hidden))
                ),
                exact("outputs of the copies", worst, 1e-12),
            ],
            "tanh-signs-same-function": [exact("outputs of 16 choices of signs", apart, 1e-12)],
        }
    )
