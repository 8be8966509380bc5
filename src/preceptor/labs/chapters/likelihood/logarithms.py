"""Why likelihoods are added as logarithms."""

from __future__ import annotations

import math

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near, told


@lab(
    "likelihood",
    {
        "log-likelihood": Claim(
            "A product of many probabilities vanishes in floating point; the sum of their logs does not.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.5",
        )
    },
    data="400 probabilities of 0.1, multiplied in float64",
    rule="the product is exactly 0, and the sum of logarithms −921.03",
    quick=True,
)
def underflow(setup: Setup) -> Evidence:
    """Multiply probabilities, and add their logarithms."""
    factors = torch.full((400,), 0.1, dtype=torch.float64)
    total = float(get("sentence-log-probability", factors))
    products = {kind: torch.cumprod(factors.to(kind), 0) for kind in (torch.float64, torch.float32)}
    lasts = {kind: int((values > 0).sum()) for kind, values in products.items()}
    places = list(range(10, 401, 10))
    logs = [-math.inf if p == 0 else math.log(p) for p in products[torch.float64][9::10].tolist()]
    shown = [value if math.isfinite(value) else math.nan for value in logs]
    return Evidence(
        {
            "log-likelihood": [
                exact("the product", math.prod(factors.tolist())),
                near("the sum of logarithms", [total], -921.034, within=1e-3),
                told("factors until the product is 0 in float64", lasts[torch.float64] + 1),
                told("factors until the product is 0 in float32", lasts[torch.float32] + 1),
            ]
        },
        Figure(
            "A product of probabilities ends, the sum of logarithms goes on",
            "factors of 0.1",
            "logarithm",
            {
                "sum of logarithms": [n * math.log(0.1) for n in places],
                "logarithm of the product in float64": shown,
            },
            places,
        ),
    )
