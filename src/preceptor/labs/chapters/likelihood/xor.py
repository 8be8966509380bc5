"""XOR: what no linear model can do, and the ways around it."""

from __future__ import annotations

import math
from typing import Any

import torch

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near, share, told

_X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
_Y = torch.tensor([0, 1, 1, 0])
_WHOLE: dict[str, Any] = {
    "data.val": 0, "data.test": 0, "data.scale": "none", "data.audit": "none", "training.batch_size": "full",
    "training.patience": None, "training.monitor": "train_loss",
}  # fmt: skip
_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.1"


@lab(
    "likelihood",
    {
        "xor-is-not-linear": Claim(
            "No linear model computes XOR: the best logistic regression knows nothing.",
            source="Minsky and Papert, Perceptrons, 1969",
        ),
        "product-feature-solves-xor": Claim(
            "With the product x₁x₂ as a third input XOR is linearly separable.",
            source="Cover, Geometrical and Statistical Properties of Systems of Linear Inequalities, 1965",
        ),
        "two-rectified-units-represent-xor": Claim(
            "Two rectified units, with weights set by hand, compute XOR exactly.", source=_GOODFELLOW
        ),
    },
    data="the four examples of XOR",
    rule="no separating plane exists (linear programme), logistic regression ends at the loss ln 2 and at "
    "weights 0 within 1e-3, and the best threshold on any linear score has accuracy 0.75; with the product a "
    "plane exists; the network's outputs are 0, 1, 1, 0",
    quick=True,
)
def xor_representation(setup: Setup) -> Evidence:
    """Ask a linear programme, logistic regression, all directions, and a network set by hand."""
    product = get("product-features")(_X)
    plain, richer = (get("linear-separability", x, _Y)["separable"] for x in (_X, product))
    run = preceptor.train(
        "linear", (_X, _Y), optimizer="gradient-descent", lr=4.0, epochs=120, seed=setup.seeds(1)[0],
        out=False, settings=_WHOLE,
    )  # fmt: skip
    weights = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    outputs = get("xor-network")(_X).detach().flatten()
    return Evidence(
        {
            "xor-is-not-linear": [
                exact("separating planes", float(plain)),
                near(
                    "loss of logistic regression", [run.history[-1, "train_loss"]], math.log(2), within=1e-4
                ),
                exact("its largest weight", float(weights.abs().max()), 1e-3),
                near("best accuracy of 10,000 directions with any threshold", [_best()], 0.75, within=0),
            ],
            "product-feature-solves-xor": [exact("separating planes that are missing", 1 - float(richer))],
            "two-rectified-units-represent-xor": [
                exact("outputs against 0, 1, 1, 0", float((outputs - _Y).abs().max()))
            ],
        }
    )


def _best() -> float:
    """Return the best accuracy of a threshold on a linear score, on either side."""
    angles = torch.linspace(0, 2 * math.pi, 10_000, dtype=torch.float64)
    scores = torch.stack([angles.cos(), angles.sin()], 1) @ _X.T.double()
    places = torch.cat([scores - 1e-9, scores + 1e-9], 1)
    right = ((scores[:, None] > places[..., None]) == (_Y > 0)).double().mean(2)
    return float(right.max())


@lab(
    "likelihood",
    {
        "two-units-seldom-learn-xor": Claim(
            "Two rectified units can represent XOR, but from random weights training often misses it.",
            source=_GOODFELLOW,
            instead_of="two hidden units solve XOR",
        ),
        "more-units-learn-xor": Claim(
            "With more rectified units than it needs training finds XOR from nearly every start.",
            source=_GOODFELLOW,
        ),
    },
    data="the four examples of XOR; networks of 2, 8 and 32 rectified units, 100 random starts each",
    rule="success is four right answers; with two units the interval (Wilson) of failures lies above 0.1, "
    "with 32 units that of successes above 0.9",
)
def xor_training(setup: Setup) -> Evidence:
    """Train many networks of two to 32 hidden units at once."""
    seeds, widths = setup.seeds(100, 1000), (2, 8, 32)
    population = preceptor.train_population(
        "mlp", (_X, _Y), members=[{"hidden": [width]} for width in widths], seeds=seeds, optimizer="adam",
        lr=0.05, epochs=300, settings=_WHOLE,
    )  # fmt: skip
    solved = dict.fromkeys(widths, 0)
    for member in population.members:
        width = member.experiment.flat()["model.hidden"][0]
        solved[width] += member.history[-1, "train_accuracy"] == 1.0
    n = len(seeds)
    return Evidence(
        {
            "two-units-seldom-learn-xor": [share("two units fail", n - solved[2], n, above=0.1)],
            "more-units-learn-xor": [
                share("32 units succeed", solved[32], n, above=0.9),
                told("of the starts with eight units succeed", solved[8] / n),
            ],
        },
        Figure("Random starts that learn XOR", "hidden units", "share of successes",
               {"success": [solved[w] / n for w in widths]}, [str(w) for w in widths], kind="bars"),
    )  # fmt: skip
