"""Why nobody trains on accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, share, told
from preceptor.labs.chapters._tables import standardised


@lab(
    "likelihood",
    {
        "accuracy-has-no-gradient": Claim(
            "Accuracy is constant between jumps: it cannot be trained on, by stochastic gradients either.",
            source="Bartlett, Jordan and McAuliffe, Convexity, Classification, and Risk Bounds, 2006",
            instead_of="accuracy is discontinuous, therefore take stochastic gradient descent",
        ),
        "cross-entropy-is-smooth": Claim(
            "Cross-entropy changes smoothly with the weights: everywhere it says which way is down.",
            source="Bartlett, Jordan and McAuliffe, Convexity, Classification, and Risk Bounds, 2006",
        ),
    },
    data="breast-cancer, standardised: logistic regression at 1,000 places of a line through its solution",
    rule="at more than 0.9 of the places (Wilson interval) accuracy does not change within a step of 1e-5; "
    "the slope of cross-entropy by such a step differs from its derivative by at most 1e-6, and is not 0",
    quick=True,
)
def accuracy_steps(setup: Setup) -> Evidence:
    """Walk along a line of weights, and measure accuracy and cross-entropy."""
    X, labels = standardised(load("breast-cancer"))
    y = torch.as_tensor(labels).double()
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    middle = get("ridge-regression", X, 2 * y - 1, weight_decay=1.0).x
    way = torch.randn(len(middle), generator=generator, dtype=torch.float64)
    way = way / way.norm()
    loss = get("surrogate-loss", "accuracy")
    entropy = get("binary-cross-entropy")

    def accuracy(s: float) -> float:
        return float(((X @ (middle + s * way) > 0) == (y > 0)).double().mean())

    def smooth(s: Tensor) -> Tensor:
        value: Tensor = entropy(X @ (middle + s * way), y)
        return value

    step = 1e-5
    places = torch.linspace(-1, 1, 1_000, dtype=torch.float64)
    still = sum(accuracy(float(s) + step) == accuracy(float(s) - step) for s in places)
    slopes = torch.stack([get("gradient", smooth, s) for s in places])
    numeric = torch.stack([(smooth(s + step) - smooth(s - step)) / (2 * step) for s in places])
    shown = places[::10].tolist()
    return Evidence(
        {
            "accuracy-has-no-gradient": [
                share("places where accuracy stands still", still, len(places), above=0.9),
                told("what to train on in place of accuracy", loss),
            ],
            "cross-entropy-is-smooth": [
                exact("slope against derivative", float((slopes - numeric).abs().max()), 1e-6),
                exact("places without a slope", float((slopes == 0).sum())),
            ],
        },
        Figure("Along a line of weights", "distance from the middle", "share of errors, cross-entropy",
               {"error": [1 - accuracy(s) for s in shown],
                "cross-entropy": [float(smooth(torch.tensor(s))) for s in shown]}, shown),
    )  # fmt: skip
