"""Step sizes that arrive under noise, and averages over steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, told
from preceptor.labs.chapters.optimization._descents import descend, means

_ROBBINS = "Robbins and Monro, A Stochastic Approximation Method, 1951"
_POLYAK = "Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992"


_SCHEDULES: dict[str, Callable[[int], float]] = {
    "constant": lambda _: 1.0,
    "1/t": lambda step: 1 / (1 + step / 20),
    "exponential": lambda step: 0.98**step,
}


@lab(
    "optimization",
    {
        "robbins-monro-converges": Claim(
            "On a strictly convex function with noisy gradients a rate that falls as 1/t brings the error "
            "to zero, "
            "a constant one to a floor of noise, an exponentially falling one to a halt on the way.",
            source=_ROBBINS,
            instead_of="Every step size rule converges to a local (global) minimum; the global one needs "
            "convexity.",
        ),
        "iterate-averaging": Claim(
            "The mean of the weights over the steps removes the fluctuation of a constant rate.",
            source=_POLYAK,
            reference="7.4e-3 falls to 2.4e-4 in a quadratic with noise",
        ),
    },
    data="½w² from w = 20, gradients with standard normal noise, rate 0.2 times the schedule; 1,000 runs",
    rule="squared error of 1/t falls to less than a third when the steps are quadrupled, that of the "
    "constant "
    "rate stays within a fifth of 0.2/(2 − 0.2), that of the exponential one within a fifth of itself; "
    "averaged, a tenth at most of the constant rate's",
)
def step_sizes(setup: Setup) -> Evidence:
    """Descend with three schedules under noise, and average the steps of one."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    steps, start = setup.size(2000, 20_000), torch.full((setup.size(1000, 5000),), 20.0, dtype=torch.float64)
    places = [n for n in (10, 30, 100, 300, 500, 1000, 2000, 5000, 20_000) if n <= steps]
    errors: dict[str, dict[int, Tensor]] = {name: {} for name in _SCHEDULES}
    holder = torch.nn.ParameterList([start.clone()])
    average = get("polyak-averaging", kind="averaging", start=0.5).attach(holder)
    average.plan(steps)
    for name, rate in _SCHEDULES.items():

        def see(step: int, place: Tensor, name: str = name) -> None:
            if step + 1 in places or step + 1 == steps // 4:
                errors[name][step + 1] = place.square()
            if name == "constant":
                holder[0].data.copy_(place)
                average.after_step(0.2)

        descend(start, lambda w: w, steps, generator, 1.0, rate=rate, see=see, lr=0.2)
    floor, last = 0.2 / (2 - 0.2), {name: seen[steps] for name, seen in errors.items()}
    quarter = {name: seen[steps // 4].mean() for name, seen in errors.items()}
    mean = average.average[0].square()
    checks = {
        "robbins-monro-converges": [
            above(
                "1/t: squared error at a quarter of the steps over that at the end",
                (quarter["1/t"] / means(last["1/t"])).tolist(),
                3.0,
            ),
            exact(
                "constant: distance from its floor of noise, relative",
                abs(float(last["constant"].mean()) / floor - 1),
                0.2,
            ),
            exact(
                "exponential: change over the last three quarters, relative",
                abs(float(quarter["exponential"] / last["exponential"].mean()) - 1),
                0.2,
            ),
            more(
                "squared error at the end, exponential against 1/t",
                means(last["exponential"]).tolist(),
                means(last["1/t"]).tolist(),
            ),
        ],
        "iterate-averaging": [
            above(
                "squared error, last step over average",
                (means(last["constant"]) / means(mean)).tolist(),
                10.0,
            ),
            told("squared error of the last step", float(last["constant"].mean())),
            told("of the average over the second half", float(mean.mean())),
        ],
    }
    shown = {name: [float(seen[n].mean()) for n in places] for name, seen in errors.items()}
    return Evidence(
        checks,
        Figure("Noisy gradients", "steps", "mean squared error", shown, places, log="xy"),
        note="A rule without these conditions may end anywhere; without convexity 1/t leads to some "
        "critical point.",
    )
