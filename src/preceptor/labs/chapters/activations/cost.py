"""What activations cost."""

from __future__ import annotations

import time

import numpy as np
import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, told

_UNITS = ("relu", "elu", "sigmoid", "tanh", "softplus", "gelu")


def _seconds(name: str, x: torch.Tensor, ones: torch.Tensor) -> float:
    unit = get(name, kind="activation")
    began = time.thread_time()
    y = unit(x)
    y.backward(ones)
    spent = time.thread_time() - began
    x.grad = None
    return spent


@lab(
    "activations",
    {
        "exponentials-cost": Claim(
            "Activations with an exponential cost more than a ReLU, forward and backward.",
            source="Clevert, Unterthiner and Hochreiter, Exponential Linear Units, 2016",
        )
    },
    data="100,000 standard normal numbers (ten million in the long form), forward and backward on the CPU",
    rule="shortest time of ELU and of sigmoid over ReLU's in twelve rounds, each of several repetitions by "
    "turns: above 1.1",
)
def activation_cost(setup: Setup) -> Evidence:
    """Time activations by turns."""
    x = torch.randn(setup.size(100_000, 10_000_000), requires_grad=True)
    ones = torch.ones_like(x)
    for name in _UNITS:
        _seconds(name, x, ones)
    rounds = []
    for _ in range(12):
        taken = np.array([[_seconds(name, x, ones) for name in _UNITS] for _ in range(setup.size(60, 10))])
        rounds.append(taken.min(0))
    ratios = np.array(rounds) / np.array(rounds)[:, :1]
    checks = [above(f"{name} over ReLU", ratios[:, _UNITS.index(name)], 1.1) for name in ("elu", "sigmoid")]
    others = [
        told(f"{name} over ReLU", float(np.median(ratios[:, i]))) for i, name in enumerate(_UNITS) if i > 2
    ]
    return Evidence(
        {"exponentials-cost": [*checks, *others]},
        Figure(
            "Time of activations",
            "activation",
            "time over ReLU's",
            {"ratio": ratios.tolist()},
            list(_UNITS),
            kind="bars",
        ),
        note="In a network the products of matrices outweigh all of them.",
    )
