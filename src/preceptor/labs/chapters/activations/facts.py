"""What follows from the formulas of activations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, exact, lab, near

_GOODFELLOW = "Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout Networks, 2013"
_ELU_MEAN = 1 / math.sqrt(2 * math.pi) + math.exp(0.5) * 0.5 * math.erfc(1 / math.sqrt(2)) - 0.5


def _slope(name: str, z: float) -> float:
    point = torch.tensor([z], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(get(name, kind="activation")(point).sum(), point)
    return float(slope)


def _means(setup: Setup) -> list[Check]:
    generator = torch.Generator().manual_seed(setup.seeds(1)[0])
    z = torch.randn(setup.size(10, 100), 100_000, generator=generator)
    relu, elu = (get(name, kind="activation")(z).mean(1).tolist() for name in ("relu", "elu"))
    return [
        near("mean of ReLU", relu, 1 / math.sqrt(2 * math.pi), within=0.003),
        near("mean of ELU", elu, _ELU_MEAN, within=0.003),
    ]


def _unit(wide: nn.Linear, pieces: list[Tensor]) -> None:
    with torch.no_grad():
        wide.bias.zero_()
        wide.weight.copy_(torch.cat(pieces))


def _maxout() -> list[Check]:
    x = torch.randn(1000, 7)
    narrow, wide = nn.Linear(7, 5), nn.Linear(7, 10)
    w = narrow.weight.detach()
    maxout, checks = get("maxout", kind="activation", pieces=2), []
    for name, factor in (("relu", 0.0), ("leaky-relu", 0.01), ("absolute-value", -1.0)):
        _unit(wide, [torch.stack([row, factor * row]) for row in w])
        with torch.no_grad():
            apart = maxout(wide(x)) - get(name, kind="activation")(x @ w.T)
        checks.append(
            exact(f"maxout with weights w and {factor:g} w, and {name}", float(apart.abs().max()), 1e-5)
        )
    counts = [sum(p.numel() for p in layer.parameters()) for layer in (narrow, wide)]
    return [*checks, exact("parameters of two pieces, twice those of one", abs(counts[1] - 2 * counts[0]))]


@lab(
    "activations",
    {
        "elu-nearer-zero": Claim(
            "On standard normal inputs the outputs of ELU have a mean of 0.16, those of ReLU one of 0.40.",
            source="Clevert, Unterthiner and Hochreiter, Exponential Linear Units, 2016",
            reference="by integration: 0.1605 and 1/√(2π) = 0.3989",
        ),
        "maxout-contains-rectifiers": Claim(
            "A maxout unit of two pieces can be a ReLU, a leaky ReLU or an absolute value; it has twice the "
            "parameters.",
            source=_GOODFELLOW,
        ),
        "softplus-keeps-a-gradient": Claim(
            "Where a ReLU passes no gradient, softplus passes a little: 0.0067 at −5.",
            source="Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011",
            reference="1/(1 + e⁵) = 0.00669",
        ),
        "relu-saturates-below": Claim(
            "A ReLU saturates for all inputs below zero, on one side.",
            source="Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011",
            instead_of="ReLU does not saturate.",
        ),
    },
    data="standard normal numbers; 1,000 examples of 7 features",
    rule="means within 0.003 of the integrals, functions equal to 1e-5, derivatives as derived",
    quick=True,
)
def activation_facts(setup: Setup) -> Evidence:
    """Hold activations against what their formulas say of them."""
    places = [round(-6 + 0.25 * i, 2) for i in range(49)]
    names = ("relu", "softplus", "elu", "tanh")
    checks = {
        "elu-nearer-zero": _means(setup),
        "maxout-contains-rectifiers": _maxout(),
        "softplus-keeps-a-gradient": [
            near("slope of softplus at −5", [_slope("softplus", -5.0)], 0.00669, within=1e-5),
            exact("slope of ReLU at −5", abs(_slope("relu", -5.0))),
        ],
        "relu-saturates-below": [
            exact("slope at −5 and at −0.001", max(_slope("relu", -5.0), _slope("relu", -1e-3))),
            exact(
                "slope at 0.001 and at 100, less 1",
                abs(_slope("relu", 1e-3) - 1) + abs(_slope("relu", 100.0) - 1),
            ),
        ],
    }
    slopes = {name: [_slope(name, z) for z in places] for name in names}
    return Evidence(checks, Figure("Derivatives of activations", "input", "derivative", slopes, places))
