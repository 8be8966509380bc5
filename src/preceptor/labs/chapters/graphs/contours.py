"""Contour lines, and the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near

_BOYD = "Boyd and Vandenberghe, Convex Optimization, 2004, section 9.1"


def _bowl(p: Tensor) -> Tensor:
    return p[0] ** 2 + 4 * p[1] ** 2


def _rosenbrock(p: Tensor) -> Tensor:
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


_FUNCTIONS = {"bowl": _bowl, "Rosenbrock": _rosenbrock}


@lab(
    "graphs",
    {
        "gradient-is-normal-to-contours": Claim(
            "The gradient stands at right angles to the lines of equal value.", source=_BOYD
        ),
        "dense-contours-mean-large-gradients": Claim(
            "Where lines of equal value lie close together the gradient is large: one over their distance "
            "is proportional to it.",
            source=_BOYD,
        ),
    },
    data="x² + 4y² and Rosenbrock's function, from ten random points each",
    rule="the largest cosine between a traced line and the gradient is at most 1e-6; the correlation of the "
    "gradient's norm with one over the distance to the next line, 1e-4 higher, is 1 within 1e-4",
    quick=True,
)
def contour_lines(setup: Setup) -> Evidence:
    """Trace lines of equal value, and measure how far away the next one is."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    points = 3 * torch.rand(20, 2, generator=generator, dtype=torch.float64) - 1.5
    cosines = {
        name: max(get("level-line", f, p, count=20)["cosine"] for p in points[:10])
        for name, f in _FUNCTIONS.items()
    }
    norms = {name: [float(get("gradient", f, p).norm()) for p in points] for name, f in _FUNCTIONS.items()}
    density = {name: [1 / _distance(f, p) for p in points] for name, f in _FUNCTIONS.items()}
    order = np.argsort(norms["bowl"])
    return Evidence(
        {
            "gradient-is-normal-to-contours": [
                exact(f"largest cosine, {name}", cosine, 1e-6) for name, cosine in cosines.items()
            ],
            "dense-contours-mean-large-gradients": [
                near(
                    f"correlation, {name}", [np.corrcoef(norms[name], density[name])[0, 1]], 1.0, within=1e-4
                )
                for name in _FUNCTIONS
            ],
        },
        Figure(
            "Density of contour lines by the gradient, x² + 4y²",
            "‖∇f‖",
            "lines of 1e-4 to a unit",
            {"bowl": [density["bowl"][i] for i in order]},
            [norms["bowl"][i] for i in order],
            kind="points",
        ),
    )


def _distance(f: Callable[[Tensor], Tensor], p: Tensor) -> float:
    """Return the distance to the line that is 1e-4 higher: where it is nearest, by trying all directions."""
    angles = torch.linspace(0, 2 * math.pi, 3_601, dtype=torch.float64)
    ways = torch.stack([angles.cos(), angles.sin()])
    low, high = torch.zeros(3_601, dtype=torch.float64), torch.full((3_601,), 1.0, dtype=torch.float64)
    goal = f(p) + 1e-4
    for _ in range(60):
        middle = (low + high) / 2
        beyond = f(p[:, None] + middle * ways) > goal
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return float(high.min())
