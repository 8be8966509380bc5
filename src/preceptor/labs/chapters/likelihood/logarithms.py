"""Why likelihoods are added as logarithms."""

from __future__ import annotations

import math

from preceptor.labs import Claim, Evidence, Setup, exact, lab, near


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
    factors = [0.1] * 400
    checks = [
        exact("the product", math.prod(factors)),
        near("the sum of logarithms", [math.fsum(math.log(p) for p in factors)], -921.034, within=1e-3),
    ]
    return Evidence({"log-likelihood": checks})
