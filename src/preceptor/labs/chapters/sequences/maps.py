"""One function, composed with itself: chaos, basins and their boundaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, near, told


@lab(
    "sequences",
    {
        "logistic-map": Claim(
            "A parabola that is composed with itself becomes highly nonlinear: order or chaos, by one "
            "parameter.",
            source="May, Simple Mathematical Models with Very Complicated Dynamics, 1976",
            reference="f⁶ at r = 4 has 63 turning points; Lyapunov exponents ln ½ at r = 2.5, ln 2 at r = 4",
        ),
    },
    data="x ← r x (1 − x) from 0.3, 10,000 steps",
    rule="f⁶ at r = 4 has exactly 63 turning points; the exponents lie within 0.02 of −0.693 and 0.693",
    quick=True,
)
def iterated_parabola(setup: Setup) -> Evidence:
    """Iterate the logistic map in its ordered and in its chaotic range."""
    calm, wild = (get("logistic-map", r=r) for r in (2.5, 4.0))
    checks = [
        exact("turning points of f⁶ at r = 4 beside 63", abs(wild["turning_points"] - 63)),
        near("Lyapunov exponent at r = 2.5", [calm["lyapunov"]], -math.log(2), 0.02),
        near("Lyapunov exponent at r = 4", [wild["lyapunov"]], math.log(2), 0.02),
    ]
    rates = np.linspace(2.5, 4.0, setup.size(61, 601))
    found = [float(get("logistic-map", r=float(r), steps=1000, composed=1)["lyapunov"]) for r in rates]
    figure = Figure(
        "Order and chaos of the logistic map",
        "r",
        "Lyapunov exponent",
        {"exponent": found},
        rates.tolist(),
        levels={"chaos above": 0.0},
    )
    return Evidence({"logistic-map": checks}, figure)


@lab(
    "sequences",
    {
        "gradients-in-basins": Claim(
            "In a basin of attraction the gradient with respect to where a recurrence began vanishes; at a "
            "boundary between basins it explodes.",
            source="Doya, Bifurcations in the Learning of Recurrent Neural Networks, 1992",
        ),
    },
    data="h ← tanh(W h), two units, symmetric W with eigenvalues of 1.3 to 3 in random directions; 12 steps "
    "from 41 × 41 starts",
    rule="over ten matrices: the mean logarithm of ‖∂h_T/∂h_0‖ at starts beside another basin exceeds that "
    "at the other starts by more than 2; the greatest exceeds 0.5, and the median lies below −2",
    quick=True,
)
def basins_and_boundaries(setup: Setup) -> Evidence:
    """Map basins of two tanh units, and the gradient that is left from every start."""
    beside, within, shown = [], [], None
    peaks, medians = [], []
    for seed in setup.seeds(10, 40):
        seen = get("attractor-map", _matrix(seed), steps=12)
        shown = shown or seen
        norms = seen["norms"].clamp_min(1e-30).log10()
        edge = _edges(seen["basins"])
        beside.append(float(norms[edge].mean()))
        within.append(float(norms[~edge].mean()))
        peaks.append(float(norms.max()))
        medians.append(float(norms.median()))
    checks = [
        more("log₁₀ of the gradient at boundaries", beside, within, by=2),
        above("its greatest", peaks, 0.5),
        above("minus its median", [-m for m in medians], 2),
        told("attractors of the first", shown["attractors"] if shown else 0),
    ]
    return Evidence({"gradients-in-basins": checks}, _cut(shown))


def _matrix(seed: int) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(2, 2, generator=numbers, dtype=torch.float64)).Q
    values = 1.3 + 1.7 * torch.rand(2, generator=numbers, dtype=torch.float64)
    made: Tensor = Q @ torch.diag(values) @ Q.T
    return made


def _edges(basins: Tensor) -> Tensor:
    """Return which starts have a neighbour that ends elsewhere, or have not decided themselves."""
    edge = basins < 0
    for axis in (0, 1):
        other = basins.diff(dim=axis) != 0
        none = torch.zeros_like(other.narrow(axis, 0, 1))
        edge = edge | torch.cat([other, none], axis) | torch.cat([none, other], axis)
    return edge


def _cut(seen: Any) -> Figure:
    """Return the gradient along the diagonal of starts."""
    along = seen["norms"].diagonal().clamp_min(1e-30).tolist()
    return Figure(
        "The gradient by where it started",
        "h₀, both units alike",
        "‖∂h_T/∂h₀‖",
        {"norm": along},
        seen["axis"].tolist(),
        log="y",
    )
