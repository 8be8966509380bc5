"""What batch normalisation takes away, and what it leaves."""

from __future__ import annotations

import torch
from scipy.stats import kurtosis
from torch import nn

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, near

_IOFFE = "Ioffe and Szegedy, Batch Normalization, 2015"


@lab(
    "normalization",
    {
        "bias-before-bn": Claim(
            "A bias before batch normalisation does nothing: outputs are the same without, and its gradient "
            "is zero.",
            source=_IOFFE,
        ),
        "bn-can-be-the-identity": Claim(
            "Batch normalisation takes nothing away: with γ = √(σ² + ε) and β = μ it gives back its input.",
            source=_IOFFE,
            instead_of="It does so with γ = √σ².",
        ),
        "bn-is-not-gaussian": Claim(
            "Batch normalisation fixes mean and variance; the shape of the distribution stays: two peaks "
            "stay two peaks.",
            source="Huang et al., Normalization Techniques in Training DNNs, 2023",
            instead_of="Batch normalisation makes activations unit Gaussian.",
        ),
    },
    data="a linear layer 8-16 with batch normalisation on 64 random examples in float64; 4,096 numbers "
    "around −2 and 2",
    rule="outputs with and without bias equal to 1e-12, its gradient at most 1e-12; the identity to 1e-6, "
    "and without ε under the root off by more than that; of the two peaks mean 0 and variance 1 to 1e-3, "
    "excess kurtosis that of the input to 1e-3 and not within 1 of the Gaussian's 0",
    quick=True,
)
def normalised(setup: Setup) -> Evidence:
    """Take biases out, undo the normalisation, and look at the shape of what it gives."""
    torch.manual_seed(setup.seed)
    layer = nn.Linear(8, 16).double()
    norm = get("batch-norm", 16, eps=1e-3, kind="normalization").double()
    x = torch.randn(64, 8, dtype=torch.float64)
    target = torch.randn(64, 16, dtype=torch.float64)
    given = norm(layer(x))
    (given - target).square().mean().backward()
    slope = get("gradient-norms", layer)["norms"]["bias"]
    bare = norm(nn.functional.linear(x, layer.weight))
    z = layer(x).detach()
    restored = get("batch-norm-identity", norm, inputs=z)(z).detach()
    with torch.no_grad():
        norm.weight.copy_(z.var(0, correction=0).sqrt())
        without = float((norm(z) - z).abs().max())
    peaks = torch.where(torch.rand(4096) < 0.5, -2.0, 2.0) + 0.3 * torch.randn(4096)
    after = get("batch-norm", 1, kind="normalization")(peaks[:, None]).detach()[:, 0]
    shapes = [float(kurtosis(values.numpy())) for values in (peaks, after)]
    checks = {
        "bias-before-bn": [
            exact("outputs without the bias", float((given - bare).detach().abs().max()), 1e-12),
            exact("its gradient", slope, 1e-12),
        ],
        "bn-can-be-the-identity": [
            exact("outputs against inputs", float((restored - z).abs().max()), 1e-6),
            Check(f"with γ = √σ²: error {without:.3g}, more than 1e-6", without > 1e-6),
        ],
        "bn-is-not-gaussian": [
            exact("mean", abs(float(after.mean())), 1e-3),
            exact("variance, from 1", abs(float(after.var(correction=0)) - 1), 1e-3),
            near("excess kurtosis of two peaks", [shapes[1]], shapes[0], within=1e-3),
            Check(f"its distance from a Gaussian's 0: {abs(shapes[1]):.3g}, more than 1", abs(shapes[1]) > 1),
        ],
    }
    counts, edges = torch.histogram(after, 40, range=(-2.5, 2.5))
    figure = Figure(
        "Two peaks, normalised",
        "normalised value",
        "numbers",
        {"after batch normalisation": counts.tolist()},
        ((edges[1:] + edges[:-1]) / 2).tolist(),
    )
    return Evidence(checks, figure)
