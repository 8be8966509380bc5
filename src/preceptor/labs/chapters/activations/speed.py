"""Which activation is learned with fastest, each at its best rate."""

from __future__ import annotations

import itertools

from preceptor import train_population
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more
from preceptor.training.population import Member

_UNITS = ("relu", "tanh", "sigmoid")
_RATES = (0.03, 0.1, 0.3, 1.0)
_GOAL = 0.05  # validation error
_SOURCE = "Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep CNNs, 2012"


def _epochs(member: Member, most: int) -> int:
    """Return the first epoch with an error of at most the goal; twice the most where none has it."""
    reached = (row["epoch"] for row in member.history if 1 - row["val_accuracy"] <= _GOAL)
    return next((int(epoch) for epoch in reached), 2 * most)


def _trained(
    rates: dict[str, tuple[float, ...]], seeds: list[int], epochs: int
) -> dict[str, list[list[int]]]:
    """Return the epochs to the goal of each activation, a list over seeds for each rate."""
    members = [{"activation": unit, "lr": lr} for unit in rates for lr in rates[unit]]
    found = train_population(
        "mlp",
        "digits",
        members=members,
        seeds=seeds,
        engine="batched",
        optimizer="sgd",
        epochs=epochs,
        settings={"model.hidden": [64] * 3, "model.init": "variance-scaling", "training.patience": epochs},
    )
    needed = iter([_epochs(member, epochs) for member in found])
    return {unit: [list(itertools.islice(needed, len(seeds))) for _ in rates[unit]] for unit in rates}


@lab(
    "activations",
    {
        "relu-beats-sigmoid": Claim(
            "With each at its best rate, a ReLU network needs fewer epochs to the same error than a "
            "sigmoid one.",
            source=_SOURCE,
        ),
        "relu-beats-tanh": Claim(
            "With each at its best rate, a ReLU network needs fewer epochs to the same error than a tanh "
            "one.",
            source=_SOURCE,
            reference="six times fewer, a convolutional network on CIFAR-10",
        ),
    },
    data="digits, an MLP of three hidden layers of 64 units, weights scaled by each activation's gain, SGD",
    rule="the rate is chosen on some seeds, the epochs to 5 % validation error are counted on others: "
    "fewer by "
    "one at least, seed by seed",
)
def activation_speed(setup: Setup) -> Evidence:
    """Tune the rate of three activations, and count their epochs to a validation error."""
    seeds, epochs = setup.seeds(11, 28), setup.size(15, 60)
    tuning, counting = seeds[:3], seeds[3:]
    tuned = _trained(dict.fromkeys(_UNITS, _RATES), tuning, epochs)
    best = {unit: _RATES[min(range(len(_RATES)), key=lambda i: sum(tuned[unit][i]))] for unit in _UNITS}
    needed = {
        unit: rows[0] for unit, rows in _trained({u: (best[u],) for u in _UNITS}, counting, epochs).items()
    }
    return Evidence(
        {
            "relu-beats-sigmoid": [
                more("epochs, sigmoid against ReLU", needed["sigmoid"], needed["relu"], by=1)
            ],
            "relu-beats-tanh": [more("epochs, tanh against ReLU", needed["tanh"], needed["relu"], by=1)],
        },
        Figure(
            "Epochs to 5 % error",
            "activation",
            "epochs",
            {"epochs": [list(row) for row in zip(*needed.values(), strict=True)]},
            list(needed),
            kind="bars",
        ),
        [{"activation": unit, "best rate": best[unit], "epochs": needed[unit]} for unit in _UNITS],
        "In a shallow network with weights scaled to its gain, tanh does not lag: what ReLU saves shows in "
        "deep "
        "ones, and where the start is not scaled.",
    )
