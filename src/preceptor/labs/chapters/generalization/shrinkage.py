"""What an L2 penalty does to the weights, direction by direction."""

from __future__ import annotations

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, rising, told

_STRENGTHS = (0.01, 0.1, 1.0)


@lab(
    "generalization",
    {
        "l2-shrinks-flat-directions": Claim(
            "An L2 penalty shrinks the weights towards 0, and most where the loss is flat: along an "
            "eigenvector of the Hessian with eigenvalue λ by the factor λ / (λ + α).",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.1.1",
            instead_of="L2 shrinks all weights alike.",
        )
    },
    data="200 examples with 6 correlated features, the Hessian's eigenvalues between about 0.01 and 6; "
    "ridge regression with α = 0.01, 0.1 and 1",
    rule="along every eigenvector the ridge solution is λ / (λ + α) of the unpenalised one, to 1e-8, and "
    "the factor rises with λ for every α",
    quick=True,
)
def shrinkage(setup: Setup) -> Evidence:
    """Compare ridge regression with least squares along the eigenvectors of the Hessian."""
    generator = torch.Generator().manual_seed(setup.seed)
    n, d = 200, 6
    mixed = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    spread = torch.logspace(0.8, -2, d, dtype=torch.float64).sqrt()
    x = (torch.randn(n, d, generator=generator, dtype=torch.float64) * spread) @ mixed.T
    y = x @ torch.ones(d, dtype=torch.float64) + 0.1 * torch.randn(n, generator=generator).double()
    hessian = x.T @ x / n
    values, vectors = torch.linalg.eigh(hessian)
    optimum = get("least-squares", x, y, kind="solver").x
    factors, errors = {}, []
    for alpha in _STRENGTHS:
        ridge = get("ridge-regression", x, y, weight_decay=n * alpha).x
        factors[alpha] = (vectors.T @ ridge) / (vectors.T @ optimum)
        expected = get("ridge-shift", hessian, optimum, strength=alpha)
        errors.append(float((ridge - expected).abs().max()))
        errors.append(float((factors[alpha] - values / (values + alpha)).abs().max()))
    checks = [
        exact("the factors against λ / (λ + α)", max(errors), 1e-8),
        rising("the factor with λ", values, torch.stack(list(factors.values())), least=0.999),
        told("smallest and largest factor at α = 0.1", f"{factors[0.1].min():.3f}, {factors[0.1].max():.3f}"),
    ]
    figure = Figure(
        "What L2 leaves of the weights",
        "eigenvalue λ of the Hessian",
        "share left",
        {f"α = {alpha:g}": factors[alpha].tolist() for alpha in _STRENGTHS},
        values.tolist(),
        log="x",
    )
    return Evidence({"l2-shrinks-flat-directions": checks}, figure)
