"""What noise in the gradients leaves of momentum's gain, and how it rewards a rate that is cut too early."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, told
from preceptor.labs.chapters.optimization._descents import descend, means

_CURVATURES = torch.logspace(0, 2, 10, dtype=torch.float64)
_WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient descent": ("gradient-descent", {}),
    "heavy ball": ("momentum", {"momentum": 0.9}),
    "Nesterov": ("nesterov", {"momentum": 0.9}),
}


def _excess(place: Tensor) -> Tensor:
    return 0.5 * (_CURVATURES * place.square()).sum(-1)


@lab(
    "optimization",
    {
        "nesterov-without-noise": Claim(
            "With exact gradients Nesterov's momentum is far faster than gradient descent at the same rate.",
            source="Nesterov, A Method of Solving a Convex Programming Problem, 1983",
        ),
        "nesterov-under-noise": Claim(
            "Where noise dominates, its gain is gone: at the same rate the risk that remains is larger than "
            "gradient descent's, and about the heavy ball's.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.3.3",
            reference="excess risk 4.9e-3 against 3.7e-3 at rate 0.001, one configuration",
            instead_of="Nesterov's momentum speeds up stochastic gradient descent too; or never helps it.",
        ),
    },
    data="a quadratic in ten dimensions, curvatures 1 to 100, rate 0.005, momentum 0.9, gradients exact or "
    "with "
    "standard normal noise, 40 runs",
    rule="exact: steps to 1e-6 of the start's height, gradient descent's over Nesterov's, above 3; noisy: "
    "height "
    "after 3,000 steps above gradient descent's, and within a third of the heavy ball's",
)
def nesterov_noise(setup: Setup) -> Evidence:
    """Descend with and without momentum, with exact and with noisy gradients."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    start = torch.randn(setup.size(40, 200), 10, generator=generator, dtype=torch.float64)
    steps, below = setup.size(3000, 20_000), _excess(start) * 1e-6
    first: dict[str, Tensor] = {}
    remains: dict[str, Tensor] = {}
    places = [1, 10, 30, 100, 300, 1000, 3000]
    shown: dict[str, list[float]] = {}
    for name, (optimizer, options) in _WAYS.items():
        reached = torch.full((len(start),), float(steps))
        curve: list[float] = []
        late: list[Tensor] = []

        def timed(step: int, place: Tensor, reached: Tensor = reached) -> None:
            reached[(_excess(place) < below) & (reached == steps)] = step + 1

        def seen(step: int, place: Tensor, curve: list[float] = curve, late: list[Tensor] = late) -> None:
            if step + 1 in places:
                curve.append(float(_excess(place).mean()))
            if step >= steps // 2 and step % 25 == 0:
                late.append(_excess(place))

        for noise, see in ((0.0, timed), (1.0, seen)):
            descend(
                start,
                lambda w: _CURVATURES * w,
                steps,
                generator,
                noise,
                optimizer,
                see=see,
                lr=0.005,
                **options,
            )
        first[name], remains[name], shown[name] = reached, torch.stack(late).mean(0), curve
    plain, heavy, nesterov = (remains[name] for name in _WAYS)
    checks = {
        "nesterov-without-noise": [
            above(
                "steps, gradient descent's over Nesterov's",
                (first["gradient descent"] / first["Nesterov"]).tolist(),
                3.0,
            ),
            told("steps of the heavy ball", float(first["heavy ball"].mean())),
        ],
        "nesterov-under-noise": [
            more("height that remains, Nesterov against gradient descent", nesterov.tolist(), plain.tolist()),
            exact(
                "Nesterov's over the heavy ball's, less 1",
                abs(float(nesterov.mean() / heavy.mean()) - 1),
                1 / 3,
            ),
        ],
    }
    return Evidence(
        checks, Figure("Noisy gradients and momentum", "steps", "height", shown, places, log="xy")
    )


def _cut_at(cut: float) -> Callable[[int], float]:
    return lambda step: 0.05 if step >= cut else 1.0


_RAVINE = torch.tensor([1.0, 0.02], dtype=torch.float64)


@lab(
    "optimization",
    {
        "early-cut-deceives": Claim(
            "Where noise makes up most of the loss, cut the learning rate early and it falls at once, yet "
            "ends higher than with a later cut: the way "
            "along the ravine is still to go.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.3.1",
        )
    },
    data="½(x² + 0.02 y²) from (1, 8), rate 0.5, gradients with normal noise of a covariance as the "
    "curvature, "
    "200 runs of 1,000 steps; the rate falls to a twentieth after 10 % or 60 % of them",
    rule="after 15 % of the steps the early cut is lower, after all of them the late one, by a tenth at "
    "least",
    quick=True,
)
def early_cut(setup: Setup) -> Evidence:
    """Cut the rate early or late, in a noisy ravine."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    steps = setup.size(1000, 5000)
    start = torch.tensor([1.0, 8.0], dtype=torch.float64).expand(setup.size(200, 1000), 2).contiguous()
    places = [round(steps * share / 20) for share in range(1, 21)]
    seen: dict[str, list[Tensor]] = {}
    for name, cut in (("cut at 10 %", 0.1), ("cut at 60 %", 0.6), ("never", math.inf)):
        heights: list[Tensor] = []

        def see(step: int, place: Tensor, heights: list[Tensor] = heights) -> None:
            if step + 1 in places:
                heights.append(0.5 * (_RAVINE * place.square()).sum(-1))

        descend(
            start,
            lambda w: _RAVINE * w,
            steps,
            generator,
            _RAVINE.sqrt(),
            lr=0.5,
            see=see,
            rate=_cut_at(cut * steps),
        )
        seen[name] = heights
    early, late = seen["cut at 10 %"], seen["cut at 60 %"]
    checks = [
        above("height at 15 %, late over early", (means(late[2]) / means(early[2])).tolist(), 1.1),
        above("height at the end, early over late", (means(early[-1]) / means(late[-1])).tolist(), 1.1),
    ]
    shown = {name: [float(h.mean()) for h in heights] for name, heights in seen.items()}
    return Evidence(
        {"early-cut-deceives": checks}, Figure("A cut of the rate", "step", "height", shown, places, log="y")
    )
