"""Gradient descent and momentum in a ravine."""

from __future__ import annotations

import math
from typing import Any

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, near, slope, told
from preceptor.labs._checks import Check

_KAPPAS = (10, 100, 1000)
_POLYAK = "Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964"
_PUBLISHED = {
    "gradient-descent": (71, 709, 7082),
    "momentum": (27, 95, 321),
    "nesterov": (44, 158, 519),
}


def _options(name: str, kappa: float) -> dict[str, float]:
    """Return the best constant rate, and momentum, for curvatures from 1 to kappa."""
    root = math.sqrt(kappa)
    pace = (root - 1) / (root + 1)
    return {
        "gradient-descent": {"lr": 2 / (1 + kappa)},
        "momentum": {"lr": 4 / (root + 1) ** 2, "momentum": pace**2},
        "nesterov": {"lr": 1 / kappa, "momentum": pace},
    }[name]


def _steps(name: str, kappa: float) -> tuple[int, float]:
    """Return the steps from (1, 1) to a distance of 1e-6, and the share at which the steep slope turned."""
    curvature = torch.tensor([1.0, kappa], dtype=torch.float64)
    w = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = get(name, kind="optimizer", **_options(name, kappa))([w])
    place: Any = w.data
    steps, turned, steep = 0, 0, 1.0
    while float(place.norm()) > 1e-6:
        w.grad = curvature * place
        optimizer.step()
        steps += 1
        now = float(place[1])
        turned, steep = turned + (now * steep < 0), now
    return steps, turned / steps


def _published(name: str, found: list[int]) -> list[Check]:
    return [
        near(f"steps, condition number {kappa:,}", [steps], expected, within=max(1.0, 0.02 * expected))
        for kappa, steps, expected in zip(_KAPPAS, found, _PUBLISHED[name], strict=True)
    ]


@lab(
    "optimization",
    {
        "ill-conditioning-slows": Claim(
            "The steps that gradient descent needs grow with the condition number, and in a ravine it "
            "zig-zags: across, every step is one to the other side.",
            source="Nocedal and Wright, Numerical Optimization, 2006, section 3.3",
            reference="71, 709 and 7,082 steps",
        ),
        "momentum-in-ravines": Claim(
            "With momentum they grow with the root of the condition number: oscillation is damped, and the "
            "way along the ravine sped up.",
            source=_POLYAK,
            reference="heavy ball 27, 95 and 321 steps; Nesterov 44, 158 and 519",
        ),
    },
    data="½(x² + κ y²) from (1, 1) to a distance of 1e-6, each method at its best constant settings",
    rule="steps within 2 %, or one, of the published ones; exponents 1 ± 0.05, and 0.5 ± 0.08 with momentum",
)
def ravine(setup: Setup) -> Evidence:
    """Count steps to the bottom of ravines of growing condition number."""
    found = {name: [_steps(name, kappa) for kappa in _KAPPAS] for name in _PUBLISHED}
    steps = {name: [pair[0] for pair in pairs] for name, pairs in found.items()}
    turned = [pair[1] for pair in found["gradient-descent"]]
    checks = {
        "ill-conditioning-slows": [
            *_published("gradient-descent", steps["gradient-descent"]),
            slope("steps", _KAPPAS, steps["gradient-descent"], 1.0, within=0.05),
            exact("share of steps to the other side, less 1", 1 - min(turned)),
        ],
        "momentum-in-ravines": [
            *_published("momentum", steps["momentum"]),
            slope("heavy ball's steps", _KAPPAS, steps["momentum"], 0.5, within=0.08),
            *_published("nesterov", steps["nesterov"]),
            slope("Nesterov's steps", _KAPPAS, steps["nesterov"], 0.5, within=0.08),
        ],
    }
    figure = Figure("Steps in a ravine", "condition number", "steps", steps, _KAPPAS, log="xy")
    rows = [{"condition number": k, **{n: steps[n][i] for n in steps}} for i, k in enumerate(_KAPPAS)]
    return Evidence(checks, figure, rows)


_RATES = tuple(10 ** (-5 + i / 4) for i in range(25))
_BUDGET = 500


def _levels(name: str, seeds: list[int], axes: float) -> torch.Tensor:
    """Return ½wᵀHw over its start after each step, (steps, seeds, rates), of a ravine turned by ``axes``."""
    turn = torch.tensor([[math.cos(axes), -math.sin(axes)], [math.sin(axes), math.cos(axes)]])
    H = turn @ torch.diag(torch.tensor([1.0, 1000.0])) @ turn.T
    starts = []
    for seed in seeds:
        angle = torch.rand(1, generator=torch.Generator().manual_seed(seed)) * 2 * math.pi
        starts.append(turn @ torch.cat([angle.cos(), angle.sin() / math.sqrt(1000)]))
    begin = torch.stack(starts)[:, None].expand(-1, len(_RATES), -1).contiguous()
    ones = [begin[:, i].clone().requires_grad_() for i in range(len(_RATES))]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(ones, _RATES, strict=True)]
    optimizer = get(name, kind="optimizer")(groups)
    start = 0.5 * ((begin @ H) * begin).sum(-1)
    seen = []
    for _ in range(_BUDGET):
        for w in ones:
            w.grad = w.detach() @ H
        optimizer.step()
        places = torch.stack([w.detach() for w in ones], 1)
        seen.append(0.5 * ((places @ H) * places).sum(-1) / start)
    return torch.stack(seen)


def _largest(levels: torch.Tensor) -> list[float]:
    """Return, for each seed, the largest rate that ends below its start."""
    below = levels[-1].nan_to_num(math.inf) < 1
    return [max(lr for lr, fine in zip(_RATES, row, strict=True) if fine) for row in below.tolist()]


def _fewest(levels: torch.Tensor) -> list[float]:
    """Return, for each seed, the fewest steps to a hundredth of the start, over all rates."""
    low = levels.nan_to_num(math.inf) < 0.01
    first = torch.where(low.any(0), low.int().argmax(0) + 1, _BUDGET)
    return [float(steps) for steps in first.amin(1)]


@lab(
    "optimization",
    {
        "rmsprop-in-ravines": Claim(
            "In a ravine along the axes RMSProp bears larger learning rates than gradient descent, and is "
            "faster.",
            source="Tieleman and Hinton, Lecture 6.5: RMSProp, 2012",
        ),
        "rmsprop-across-axes": Claim(
            "In a ravine that lies across the axes RMSProp loses that advantage: its rate is per coordinate.",
            source="Tieleman and Hinton, Lecture 6.5: RMSProp, 2012",
            instead_of="RMSProp is faster in ravines.",
        ),
    },
    data="½(x² + 1000 y²) from twenty places of equal distance in its measure, 25 rates from 1e-5 to 10, 500 "
    "steps; along the axes, and turned by 45°",
    rule="largest rate that ends below its start ten times gradient descent's, at least; fewest steps to a "
    "hundredth of the start, over all rates, at most half of its; turned, at least twice as many as before",
)
def rmsprop_ravine(setup: Setup) -> Evidence:
    """Try many rates of RMSProp and of gradient descent in a ravine."""
    seeds = setup.seeds(20, 100)
    plain, scaled = (_levels(name, seeds, 0.0) for name in ("gradient-descent", "rmsprop"))
    turned = _levels("rmsprop", seeds, math.pi / 4)
    fewest = {
        "gradient descent": _fewest(plain),
        "RMSProp": _fewest(scaled),
        "RMSProp, turned": _fewest(turned),
    }
    checks = {
        "rmsprop-in-ravines": [
            above(
                "largest rate, RMSProp's over gradient descent's",
                _over(_largest(scaled), _largest(plain)),
                10.0,
            ),
            above(
                "fewest steps, gradient descent's over RMSProp's",
                _over(fewest["gradient descent"], fewest["RMSProp"]),
                2.0,
            ),
        ],
        "rmsprop-across-axes": [
            above(
                "fewest steps of RMSProp, turned over straight",
                _over(fewest["RMSProp, turned"], fewest["RMSProp"]),
                2.0,
            ),
            told(
                "gradient descent's over RMSProp's, turned",
                sum(fewest["gradient descent"]) / sum(fewest["RMSProp, turned"]),
            ),
        ],
    }
    shown = {
        name: levels[-1].clamp(1e-12, 1e12).nan_to_num(1e12).tolist()
        for name, levels in (("gradient descent", plain), ("RMSProp", scaled), ("RMSProp, turned", turned))
    }
    figure = Figure(
        "A ravine after 500 steps", "learning rate", "height over the start's", shown, _RATES, log="xy"
    )
    return Evidence(checks, figure)


def _over(a: list[float], b: list[float]) -> list[float]:
    return [x / y for x, y in zip(a, b, strict=True)]
