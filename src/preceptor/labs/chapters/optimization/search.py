"""How hyperparameters are tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near, share

_BERGSTRA = "Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012"
_WIDTH = 0.1  # of the peak along the axis that counts


def _value(point: dict[str, Any], peak: Sequence[float]) -> float:
    """Return a score that one of two hyperparameters decides: a narrow peak, and a gentle slope."""
    at_peak = math.exp(-0.5 * float((point["x"] - peak[0]) / _WIDTH) ** 2)
    return at_peak * (1 - 0.1 * abs(float(point["y"] - peak[1])))


def _best(points: Sequence[dict[str, Any]], peak: Sequence[float]) -> float:
    return max(_value(point, peak) for point in points)


def _identity(u: float) -> float:
    return u


def _rates(log: bool, count: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    drawn = np.random.default_rng(seed).random(count)
    if not log:
        return 1e-6 + (1e-3 - 1e-6) * drawn
    scale = get("log-uniform", kind="procedure", low=1e-6, high=1e-3)
    return np.array([float(scale(u)) for u in drawn])


def _trials(rates: np.ndarray[Any, np.dtype[np.float64]], best: float) -> int:
    """Return how many trials it takes until one is within a factor of two of the best rate."""
    close = np.abs(np.log(rates / best)) < math.log(2)
    return int(close.argmax()) + 1 if close.any() else len(rates)


@lab(
    "optimization",
    {
        "random-beats-grid": Claim(
            "Where one of several hyperparameters decides, nine trials at random find more than a grid of "
            "three by three: "
            "they try nine values of it in place of three.",
            source=_BERGSTRA,
            reference="mean best 0.743 against 0.551, more in 67 % of repetitions, one function",
        ),
        "log-scale-for-rates": Claim(
            "Evenly drawn, nine of ten learning rates between 1e-6 and 1e-3 lie in the uppermost decade; "
            "on a "
            "logarithmic scale each decade gets a third, and a good rate is found in fewer trials.",
            source=_BERGSTRA,
        ),
    },
    data="a score with a narrow peak along one of two axes, its place drawn anew in each of 2,000 "
    "repetitions; rates "
    "drawn between 1e-6 and 1e-3, the best one anywhere on a logarithmic scale",
    rule="mean best of nine random trials above the grid's, by 0.05 at least, and more in more than half "
    "of the "
    "repetitions; shares within 0.02 of 0.9 and a third; trials to within a factor of two of the best rate "
    "fewer",
    quick=True,
)
def search_space(setup: Setup) -> Evidence:
    """Search by a grid and at random, evenly and on a logarithmic scale."""
    repeats = setup.size(2000, 20_000)
    generator = np.random.default_rng(setup.seeds(1)[0])
    thirds = [1 / 6, 1 / 2, 5 / 6]
    grid = get("grid-search", kind="procedure")({"x": thirds, "y": thirds})
    peaks, seeds = generator.random((repeats, 2)), generator.integers(0, 2**31, repeats)
    by_grid = [_best(grid, peak) for peak in peaks]
    at_random = [
        _best(
            get("random-search", kind="procedure", trials=9, seed=int(seed))(
                {"x": _identity, "y": _identity}
            ),
            peak,
        )
        for seed, peak in zip(seeds, peaks, strict=True)
    ]
    wins = sum(a > b for a, b in zip(at_random, by_grid, strict=True))
    log, even = _rates(True, 20_000, int(seeds[0])), _rates(False, 20_000, int(seeds[0]))
    trials = {
        name: [
            _trials(_rates(name == "log", 400, int(seed)), 10 ** -(3 + 3 * float(u)))
            for seed, u in zip(seeds[:200], peaks[:200, 0], strict=True)
        ]
        for name in ("even", "log")
    }
    checks = {
        "random-beats-grid": [
            more("mean best of nine trials, at random against the grid", at_random, by_grid, by=0.05),
            share("repetitions in which random search finds more", wins, repeats, above=0.5),
        ],
        "log-scale-for-rates": [
            near(
                "share in the uppermost decade, drawn evenly", [float((even > 1e-4).mean())], 0.9, within=0.02
            ),
            near(
                "share in the uppermost decade, log scale", [float((log > 1e-4).mean())], 1 / 3, within=0.02
            ),
            above(
                "trials to a good rate, evenly less log scale",
                [a - b for a, b in zip(trials["even"], trials["log"], strict=True)],
            ),
        ],
    }
    figure = Figure(
        "Best of nine trials",
        "quantile of repetitions",
        "score",
        {"at random": _quantiles(at_random), "grid": _quantiles(by_grid)},
        [i / 20 for i in range(21)],
    )
    return Evidence(checks, figure)


def _quantiles(values: Sequence[float]) -> list[float]:
    found: list[float] = np.quantile(values, np.linspace(0, 1, 21)).tolist()
    return found
