"""Linear regression: one solution, two ways to it, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import process_time

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, beyond, exact, lab, rising, slope, told
from preceptor.labs.chapters._tables import standardised

_SHARES = (0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 1.5)
_PLACES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


@lab(
    "likelihood",
    {
        "gradient-descent-solves-least-squares": Claim(
            "Gradient descent comes to the solution of the normal equations at any rate below 2/λ_max.",
            source="Landweber, An Iteration Formula for Fredholm Integral Equations of the First Kind, 1951",
        ),
        "rate-beyond-the-curvature-diverges": Claim(
            "Beyond a rate of 2/λ_max gradient descent moves away from the solution.",
            source="LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 5.1",
        ),
    },
    data="diabetes, standardised; λ_max the largest eigenvalue of XᵀX/N",
    rule="after 40,000 steps at most 1e-6 of the first distance is left at 0.1 to 0.99 of the limit; after "
    "1,000 steps the distance has grown at 1.01, 1.1 and 1.5 of it",
    quick=True,
)
def least_squares(setup: Setup) -> Evidence:
    """Descend at rates around the limit, and measure the distance to the closed form."""
    X, t = standardised(load("diabetes"))
    gram, right = X.T @ X / len(X), X.T @ t / len(X)
    solution = get("normal-equations", X, t).x
    limit = 2 / float(torch.linalg.matrix_norm(gram, 2))
    far = _distances(gram, right, solution, limit, _SHARES, _PLACES)
    near = _distances(gram, right, solution, limit, _SHARES[:4], [40_000])[40_000]
    seen = {f"{share:g} of 2/λ_max": [far[n][i] for n in _PLACES] for i, share in enumerate(_SHARES)}
    return Evidence(
        {
            "gradient-descent-solves-least-squares": [
                exact(f"what is left of the distance at {share:g} of the limit", left, 1e-6)
                for share, left in zip(_SHARES, near, strict=False)
            ]
            + [told("2/λ_max", limit)],
            "rate-beyond-the-curvature-diverges": [
                beyond(f"distance after 1,000 steps at {share:g} of the limit", far[1_000][i], 1.0)
                for i, share in enumerate(_SHARES)
                if share > 1
            ],
        },
        Figure(
            "Distance to the least-squares solution",
            "steps",
            "distance, as a share of the first",
            seen,
            _PLACES,
            log="xy",
        ),
    )


def _distances(
    gram: Tensor,
    right: Tensor,
    solution: Tensor,
    limit: float,
    shares: Sequence[float],
    places: Sequence[int],
) -> dict[int, list[float]]:
    """Return the distances after so many steps, as shares of the first, for all rates at once."""
    rates = limit * torch.tensor(shares, dtype=gram.dtype)
    w = gram.new_zeros(len(gram), len(shares))
    found = {}
    for step in range(1, max(places) + 1):
        w = w - rates * (gram @ w - right[:, None])
        if step in places:
            found[step] = ((w - solution[:, None]).norm(dim=0) / solution.norm()).tolist()
    return found


@lab(
    "likelihood",
    {
        "steps-are-linear-solving-is-cubic": Claim(
            "For D weights a step of gradient descent takes time O(D), a direct solution O(D³).",
            source="Golub and Van Loan, Matrix Computations, 4th edition, 2013, chapters 4 and 5",
        ),
        "many-weights-favour-steps": Claim(
            "The more weights, the more steps of gradient descent fit into the time of one direct solution.",
            source="Bottou and Bousquet, The Tradeoffs of Large Scale Learning, 2008",
        ),
    },
    data="12,000 random examples of 1,400 to 4,000 features; processor time, the shortest of several repeats",
    rule="times grow as the power 1 ± 0.5 (a step) and 3 ± 0.5 (the Cholesky factor of XᵀX); the number of "
    "steps that cost as much as one solution rises with D",
)
def solving_cost(setup: Setup) -> Evidence:
    """Time a step and a direct solution, for more and more features."""
    sizes = setup.size((1400, 2000, 2800, 4000), (1400, 2000, 2800, 4000, 5600, 8000))
    times = [_seconds(D) for D in sizes]
    step, solve = [a for a, _ in times], [b for _, b in times]
    steps = [b / a for a, b in zip(step, solve, strict=True)]
    return Evidence(
        {
            "steps-are-linear-solving-is-cubic": [
                slope("time of a step", sizes, step, 1, within=0.5),
                slope("time of a solution", sizes, solve, 3, within=0.5),
            ],
            "many-weights-favour-steps": [
                rising("steps in the time of a solution", sizes, steps),
                told(f"steps in the time of a solution, {sizes[0]:,} features", steps[0]),
                told(f"steps in the time of a solution, {sizes[-1]:,} features", steps[-1]),
            ],
        },
        Figure(
            "Time of a step and of a solution",
            "features D",
            "seconds of the processor",
            {"gradient step": step, "Cholesky factor": solve},
            sizes,
            log="xy",
        ),
        [
            {
                "features": D,
                "seconds of a step": f"{a:.2g}",
                "seconds to solve": f"{b:.2g}",
                "ratio": f"{b / a:.3g}",
            }
            for D, a, b in zip(sizes, step, solve, strict=True)
        ],
        note="Operations: 4 N D a step; D³/3 for the factor, and N D² more to form XᵀX.",
    )


def _seconds(D: int, N: int = 12_000) -> tuple[float, float]:
    """Return the processor's time of a step and of a Cholesky factor: other programs do not count."""
    # Examples that no cache holds, or a step on fewer features would be cheaper by more than its operations.
    X, w, noise = torch.randn(N, D), torch.randn(D), torch.randn(D, D)
    gram = noise + noise.T + 4 * D * torch.eye(D)
    best = [math.inf, math.inf]
    for _ in range(3):
        began = process_time()
        for _ in range(3):
            w = w - 1e-6 * X.T @ (X @ w)
        between = process_time()
        torch.linalg.cholesky(gram)
        best = [min(best[0], (between - began) / 3), min(best[1], process_time() - between)]
    return best[0], best[1]
