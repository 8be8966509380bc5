"""What a mean of several estimates brings, by how their errors go together."""

from __future__ import annotations

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, near, slope

_MEMBERS = (1, 2, 5, 10, 20, 50)
_CORRELATIONS = (0.0, 0.5, 1.0)
_KROGH = "Krogh and Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning, 1995"


@lab(
    "generalization",
    {
        "uncorrelated-errors-average-out": Claim(
            "The mean of k unbiased estimates with uncorrelated errors has 1/k of their squared error.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.11",
            instead_of="The error falls linearly with the size of the ensemble.",
        ),
        "shared-errors-stay": Claim(
            "The squared error of a mean is ρ σ² + (1 − ρ) σ² / k: what the members' errors have in common "
            "does not average out, and at ρ = 1 nothing is gained.",
            source="Ueda and Nakano, Generalization Error of Ensemble Estimators, 1996",
            instead_of="An ensemble is better than its members.",
        ),
        "bias-stays": Claim(
            "Only the variance of the members averages out: a bias that they share stays whole.",
            source=_KROGH,
        ),
        "inverse-variance-weights": Claim(
            "Estimates of variances 1 and 4, weighted by the inverse of their variances, have a variance of "
            "0.8; their plain mean has 1.25.",
            source="Aitken, On Least Squares and Linear Combination of Observations, 1935",
        ),
    },
    data="20,000 draws of up to 50 Gaussian errors of variance 1, of correlation 0, 0.5 and 1",
    rule="the mean square falls as the power −1 ± 0.03 of k at ρ = 0; it is the formula's ± 0.03 at k = 10 "
    "for each ρ; with a bias of 1 it stays above 1 at k = 50; the weighted means' variances are 0.8 and "
    "1.25 ± 0.04",
    quick=True,
)
def averaging(setup: Setup) -> Evidence:
    """Average simulated errors, and compare with the formulas."""
    generator = torch.Generator().manual_seed(setup.seed)
    draws = setup.size(20_000, 500_000)
    own, common = torch.randn(50, draws, generator=generator), torch.randn(draws, generator=generator)
    errors = {rho: rho**0.5 * common + (1 - rho) ** 0.5 * own for rho in _CORRELATIONS}
    squares = {rho: [_square(e[:k]) for k in _MEMBERS] for rho, e in errors.items()}
    at = _MEMBERS.index(10)
    biased = [_square(block + 1) for block in own.chunk(10, 1)]
    two = torch.stack([own[0], 2 * own[1]])
    weighted = get("inverse-variance-weighting", two, torch.tensor([1.0, 4.0]))[0]
    checks = {
        "uncorrelated-errors-average-out": [
            slope("the mean square at ρ = 0", _MEMBERS, squares[0.0], -1, within=0.03)
        ],
        "shared-errors-stay": [
            near(f"the mean square of 10, ρ = {rho:g},", [row[at]],
                 get("ensemble-error", 10, correlation=rho), within=0.03)
            for rho, row in squares.items()
        ],
        "bias-stays": [above("the mean square of 50 with a bias of 1", biased, 1.0)],
        "inverse-variance-weights": [
            near("variance, weighted", [float(weighted.var())], 0.8, within=0.04),
            near("variance, plain mean", [float(two.mean(0).var())], 1.25, within=0.04),
        ],
    }  # fmt: skip
    figure = Figure(
        "Squared error of a mean",
        "members",
        "mean square",
        {f"ρ = {rho:g}": row for rho, row in squares.items()},
        list(_MEMBERS),
        log="xy",
    )
    return Evidence(checks, figure)


def _square(errors: Tensor) -> float:
    return float(errors.mean(0).square().mean())
