"""Patterns that are shifted: what no template can tell apart, a convolution can."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, told

_PATTERNS = ((0, 1, 2, 3), (0, 1, 4, 8))  # the pixels that are on, of 16 in a ring
_HINTON = "Hinton, Neural Networks for Machine Learning, 2012, lecture 2e"


class _Net(nn.Module):
    """A convolution around the ring, and for each filter its strongest response."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 8, 9, padding=4, padding_mode="circular")
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return two scores for each ring, (N, 16) → (N, 2)."""
        scores: Tensor = self.head(self.filters(x[:, None]).relu().amax(2))
        return scores


@lab(
    "likelihood",
    {
        "shifted-patterns-are-not-linear": Claim(
            "Two patterns with as many pixels on, in all their shifts, cannot be told apart by any linear "
            "model: the means of the two classes are the same.",
            source=_HINTON,
        ),
        "pooled-convolution-tells-shifted-patterns": Claim(
            "A convolution with pooling over all places tells them apart.", source=_HINTON
        ),
    },
    data="two patterns of 4 pixels on a ring of 16, each in all 16 shifts",
    rule="each class's mean is 0.25 at every pixel, and no separating plane exists (linear programme); the "
    "network, trained with each of five seeds, makes no error on the 32 examples",
)
def shifted_patterns(setup: Setup) -> Evidence:
    """Look for a plane, then train a convolution with max-pooling."""
    rings = torch.zeros(2, 16)
    for ring, on in zip(rings, _PATTERNS, strict=True):
        ring[list(on)] = 1.0
    x = torch.stack([ring.roll(s) for ring in rings for s in range(16)])
    y = torch.arange(2).repeat_interleave(16)
    means = x.view(2, 16, 16).mean(1)
    found = get("linear-separability", x, y)["separable"]
    linear = _errors("linear", x, y, setup.seeds(1)[0])
    errors = [_errors(_Net, x, y, seed) for seed in setup.seeds(5, 20)]
    return Evidence(
        {
            "shifted-patterns-are-not-linear": [
                exact("means of the classes against 0.25", float((means - 0.25).abs().max())),
                exact("separating planes", float(found)),
            ],
            "pooled-convolution-tells-shifted-patterns": [
                exact("errors of the convolution, the most of all seeds", max(errors)),
                told("share of errors of a linear model that was trained alike", linear),
            ],
        },
        Figure("The two patterns", "pixel", "on", {"first": rings[0].tolist(), "second": rings[1].tolist()},
               list(range(16)), kind="bars"),
    )  # fmt: skip


def _errors(model: object, x: Tensor, y: Tensor, seed: int) -> float:
    run = preceptor.train(
        model, (x, y), lr=0.02, epochs=100, val=0, test=0, patience=100, seed=seed, out=False,
        settings={"data.scale": "none", "data.audit": "none"},
    )  # fmt: skip
    return 1 - float(run.evaluate("train").metrics["accuracy"])
