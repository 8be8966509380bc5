"""Polynomials of growing degree."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, near, rising

_DEGREES = tuple(range(13))
_NOISE = 0.2


@lab(
    "likelihood",
    {
        "training-error-falls-with-capacity": Claim(
            "The training error falls with the degree of a polynomial, down to nothing.",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1",
        ),
        "validation-error-turns-with-capacity": Claim(
            "The validation error falls, turns, and rises again with the degree.",
            source="Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1",
            reference="flat from degree 3 to 8, for ten points of a sine",
        ),
    },
    data="15 points of a sine over one period, with noise of deviation 0.2; 200 others to validate on",
    rule="rank correlation of training error and degree at most −0.9; the lowest validation error, the mean "
    "of logarithms over the seeds, at degree 3 to 5; at degrees 0 and 12 at least twice as large",
    quick=True,
)
def polynomial_degree(setup: Setup) -> Evidence:
    """Fit polynomials of degree 0 to 12 in closed form, to many samples."""
    errors = np.log([_errors(seed) for seed in setup.seeds(100, 1000)])
    train, val = errors[:, 0], errors[:, 1]
    best = int(val.mean(0).argmin())
    shown = np.exp(errors.mean(0))
    return Evidence(
        {
            "training-error-falls-with-capacity": [
                rising("training error", _DEGREES, train, falling=True),
            ],
            "validation-error-turns-with-capacity": [
                near("degree of the lowest validation error", [best], 4, within=1),
                more(f"logarithm of the error, degree 0 and {best}", val[:, 0], val[:, best], math.log(2)),
                more(f"logarithm of the error, degree 12 and {best}", val[:, 12], val[:, best], math.log(2)),
            ],
        },
        Figure("Error by degree", "degree", "mean squared error (geometric mean)",
               {"training": shown[0].tolist(), "validation": shown[1].tolist()}, _DEGREES, log="y",
               levels={"noise": _NOISE**2}),
    )  # fmt: skip


def _errors(seed: int) -> tuple[list[float], list[float]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        x = 2 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 1
        return x, (math.pi * x[:, 0]).sin() + _NOISE * torch.randn(count, generator=generator).double()

    (x, t), (x_val, t_val) = draw(15), draw(200)
    train, val = [], []
    for degree in _DEGREES:
        powers = get("polynomial-features", degree=max(degree, 1))
        A, B = (powers(each)[:, : degree + 1] for each in (x, x_val))
        w = get("least-squares", A, t).x
        train.append(float((A @ w - t).square().mean()))
        val.append(float((B @ w - t_val).square().mean()))
    return train, val
