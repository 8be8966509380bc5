"""A sigmoid output that is wrong and sure of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, lab, near, told

_Z = -10.0
_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2"


@lab(
    "likelihood",
    {
        "squared-error-vanishes-where-sigmoid-saturates": Claim(
            "At a sigmoid output that is wrong and saturated squared error has hardly a gradient; "
            "cross-entropy has all of it.",
            source=_GOODFELLOW,
        ),
        "squared-error-recovers-slowly": Claim(
            "From a saturated wrong start squared error needs at least a hundred times as many steps as "
            "cross-entropy.",
            source=_GOODFELLOW,
        ),
    },
    data="one sigmoid unit at z = −10, target 1; then descent on z at rate 1 until the output is beyond 0.5",
    rule="half the squared error has the slope −4.54e-5, cross-entropy −0.99995, within 1e-7 and 1e-6; "
    "the ratio of the numbers of steps is above 100",
    quick=True,
)
def saturated_output(setup: Setup) -> Evidence:
    """Differentiate both losses, then follow them downhill."""
    target = torch.ones(1, 1, dtype=torch.float64)
    entropy, squared = get("binary-cross-entropy"), get("half-mse")

    def by_square(z: Tensor) -> Tensor:
        value: Tensor = squared(z.sigmoid(), target)
        return value

    def by_entropy(z: Tensor) -> Tensor:
        value: Tensor = entropy(z, target)
        return value

    losses = {"squared error": by_square, "cross-entropy": by_entropy}
    start = torch.full((1, 1), _Z, dtype=torch.float64)
    slopes = {name: float(get("gradient", f, start)) for name, f in losses.items()}
    slow, fast = _steps(lambda q: (q - 1) * q * (1 - q)), _steps(lambda q: q - 1)
    places = torch.linspace(-12, 4, 65, dtype=torch.float64)
    series = {n: [abs(float(get("gradient", f, z.reshape(1, 1)))) for z in places] for n, f in losses.items()}
    return Evidence(
        {
            "squared-error-vanishes-where-sigmoid-saturates": [
                near("slope of half the squared error", [slopes["squared error"]], -4.5396e-5, within=1e-7),
                near("slope of cross-entropy", [slopes["cross-entropy"]], -0.9999546, within=1e-6),
            ],
            "squared-error-recovers-slowly": [
                beyond("ratio of the steps", slow / fast, 100),
                told("steps by squared error", slow),
                told("steps by cross-entropy", fast),
            ],
        },
        Figure("Size of the gradient at a target of 1", "z", "|∂L/∂z|", series, places.tolist(), log="y"),
    )  # fmt: skip


def _steps(slope: Callable[[float], float]) -> int:
    """Return the steps at rate 1 until the output is beyond 0.5; the slope is a function of the output."""
    z, steps = _Z, 0
    while z < 0:
        z -= slope(1 / (1 + math.exp(-z)))
        steps += 1
    return steps
