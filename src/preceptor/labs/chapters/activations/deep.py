"""Thirty layers of rectifiers, started by He's and by Xavier's weights."""

from __future__ import annotations

from preceptor import train_population
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, near

_RATES = (0.01, 0.03, 0.1)
_STARTS = ("he-normal", "xavier-normal")


@lab(
    "activations",
    {
        "he-trains-depth-30": Claim(
            "A plain network of thirty ReLU layers learns by SGD from He's weights, and not at all from "
            "Xavier's, at any rate.",
            source="He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015",
            reference="30 layers on ImageNet: converges with He's, stalls with Xavier's",
        )
    },
    data="digits, 30 hidden layers of 64 ReLU units, SGD, each start at the best of three rates",
    rule="accuracy on the training set, of the best rate's mean over seeds: with He's weights above 0.25, "
    "with Xavier's 0.1 ± 0.05, as by chance",
)
def deep_rectifiers(setup: Setup) -> Evidence:
    """Train very deep plain networks from two starts at several rates."""
    seeds = setup.seeds(5, 10)
    found = train_population(
        "mlp",
        "digits",
        seeds=seeds,
        engine="batched",
        optimizer="sgd",
        epochs=setup.size(10, 40),
        members=[{"model.init": init, "lr": lr} for init in _STARTS for lr in _RATES],
        settings={"model.hidden": [64] * 30},
    )
    last = [float(m.history[-1]["train_accuracy"]) if len(m.history) else 0.0 for m in found]
    rows = [last[i : i + len(seeds)] for i in range(0, len(last), len(seeds))]
    by = {init: rows[i * len(_RATES) : (i + 1) * len(_RATES)] for i, init in enumerate(_STARTS)}
    he, xavier = (max(by[init], key=sum) for init in _STARTS)
    return Evidence(
        {
            "he-trains-depth-30": [
                above("with He's", he, 0.25),
                near("with Xavier's", xavier, 0.1, within=0.05),
            ]
        },
        Figure(
            "Thirty ReLU layers",
            "learning rate",
            "training accuracy",
            {init: [list(row) for row in zip(*each, strict=True)] for init, each in by.items()},
            _RATES,
            log="x",
        ),
    )
