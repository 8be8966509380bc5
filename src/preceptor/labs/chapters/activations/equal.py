"""Hidden units that start equal."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from preceptor import train_population
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, more, near
from preceptor.labs.chapters._trained import last_weights
from preceptor.training.population import Member

_SOURCE = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4"
_STARTS: dict[str, Any] = {
    "zeros": "zeros",
    "0.01": {"name": "constant", "value": 0.01},
    "random": "xavier-normal",
}
_UNITS = ("tanh", "relu")


def _spread(member: Member) -> float:
    """Return by how much the hidden units' weights differ, beside the largest weight."""
    weights = _weights(member)
    most = float(weights.abs().max())
    return float((weights.amax(0) - weights.amin(0)).max()) / most if most else 0.0


def _weights(member: Member) -> Tensor:
    return last_weights(member)["1.weight"]


def _checks(by: dict[tuple[str, str], list[Member]]) -> dict[str, list[Check]]:
    zero, same, other = ([m for unit in _UNITS for m in by[start, unit]] for start in _STARTS)
    accuracy = {unit: [_accuracy(by[start, unit]) for start in ("0.01", "random")] for unit in _UNITS}
    return {
        "equal-start-stays-equal": [
            exact("difference of hidden units, relative", max(map(_spread, same)), 1e-4),
            above("the same after a random start", [_spread(member) for member in other], 0.5),
            above(
                "mean size of the weights, which do move",
                [float(_weights(member).abs().mean()) for member in same],
                0.015,
            ),
            *(
                more(
                    f"training accuracy, random start against equal, {unit}",
                    accuracy[unit][1],
                    accuracy[unit][0],
                    by=0.3,
                )
                for unit in _UNITS
            ),
        ],
        "zero-start-freezes": [
            exact("size of the hidden weights", max(float(_weights(member).abs().max()) for member in zero)),
            near("training accuracy, as by chance", _accuracy(zero), 0.1, within=0.02),
        ],
    }


def _accuracy(members: list[Member]) -> list[float]:
    return [float(member.history[-1]["train_accuracy"]) for member in members]


@lab(
    "activations",
    {
        "equal-start-stays-equal": Claim(
            "Hidden units that start with equal weights get equal gradients and stay equal: a layer of 64 is "
            "worth one unit.",
            source=_SOURCE,
            reference="a start at 0.01 ends at 0.21 accuracy on the digits",
        ),
        "zero-start-freezes": Claim(
            "From weights that are all zero, tanh or ReLU hidden layers get no gradient at all: nothing but "
            "the output's bias learns.",
            source=_SOURCE,
            reference="0.11 accuracy on the digits, as by chance",
            instead_of="With zero weights all units are updated in the same way.",
        ),
    },
    data="digits, an MLP of one hidden layer of 64 tanh or ReLU units, trained by SGD",
    rule="difference between units at most 1e-4 of the largest weight, which is rounding; hidden weights of "
    "the zero start exactly 0",
)
def equal_units(setup: Setup) -> Evidence:
    """Train networks from zero, from equal and from random weights."""
    seeds = setup.seeds(3, 10)
    found = train_population(
        "mlp",
        "digits",
        seeds=seeds,
        engine="sequential",
        optimizer="sgd",
        lr=0.1,
        epochs=setup.size(8, 20),
        members=[{"model.init": init, "activation": unit} for init in _STARTS.values() for unit in _UNITS],
        settings={"model.hidden": [64]},
    )
    keys = [(start, unit) for start in _STARTS for unit in _UNITS]
    by = {key: list(found)[i * len(seeds) : (i + 1) * len(seeds)] for i, key in enumerate(keys)}
    shown = {unit: [_accuracy(by[start, unit]) for start in _STARTS] for unit in _UNITS}
    figure = Figure(
        "Training accuracy by start",
        "first weights",
        "accuracy",
        {unit: [list(row) for row in zip(*rows, strict=True)] for unit, rows in shown.items()},
        list(_STARTS),
        kind="bars",
    )
    return Evidence(
        _checks(by),
        figure,
        note="Equal is not stable: where a kernel adds up in another order for some units than for others, "
        "the "
        "difference by rounding grows as training goes on.",
    )
