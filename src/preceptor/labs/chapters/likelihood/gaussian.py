"""Maximum likelihood of a Gaussian."""

from __future__ import annotations

import numpy as np
import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, near, told

_DRAWS, _MEAN, _STD = 9, 5.0, 2.0


@lab(
    "likelihood",
    {
        "likelihood-peaks-at-the-mean": Claim(
            "Of all Gaussians, one around the mean of the samples makes them most probable.",
            source="Gauss, Theoria motus corporum coelestium, 1809",
        ),
        "likeliest-variance-is-too-small": Claim(
            "The variance of maximum likelihood comes out too small by the factor (m − 1)/m.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.4.2",
            reference="8/9 for nine samples",
        ),
    },
    data="nine draws from a Gaussian of mean 5 and deviation 2; for the variance 10,000 times nine draws",
    rule="the highest point, found by climbing, is the mean within 1e-6; the variance is 8/9 of the true one "
    "within 0.02, and with the divisor m − 1 all of it",
    quick=True,
)
def gaussian_likelihood(setup: Setup) -> Evidence:
    """Climb the log-likelihood of nine samples; estimate the variance many times."""
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    draws = _MEAN + _STD * torch.randn(10_000, _DRAWS, generator=generator, dtype=torch.float64)
    samples = draws[0]
    climbed = get("maximum-likelihood", samples, method="gradient")
    places = np.linspace(2.0, 8.0, 61).tolist()
    spread = float(climbed[1])
    curve = [float(get("log-likelihood", samples, torch.tensor([mean, spread]))) for mean in places]
    highest = places[int(np.argmax(curve))]
    variance = [
        [float(get("gaussian-mle", nine, unbiased=way)[1]) / _STD**2 for nine in draws]
        for way in (False, True)
    ]
    return Evidence(
        {
            "likelihood-peaks-at-the-mean": [
                exact("the mean that was climbed to", abs(float(climbed[0] - samples.mean())), 1e-6),
                exact("the highest place of a grid of 0.1", abs(highest - float(samples.mean())), 0.05),
                told("mean of the samples", float(samples.mean())),
            ],
            "likeliest-variance-is-too-small": [
                near("variance, as a share of the true one,", variance[0], 8 / 9, within=0.02),
                near("the same with the divisor m − 1", variance[1], 1.0, within=0.02),
            ],
        },
        Figure("Log-likelihood of nine samples", "mean of the Gaussian", "log-likelihood", {"l(μ)": curve},
               places),
    )  # fmt: skip
