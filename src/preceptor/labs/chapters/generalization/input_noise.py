"""Noise on the inputs of a linear model, and the penalty that it amounts to."""

from __future__ import annotations

import torch

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, near, slope

_COPIES = (1, 10, 100, 1_000, 10_000)
_STD = 0.5


@lab(
    "generalization",
    {
        "input-noise-is-l2": Claim(
            "Noise of standard deviation σ on the inputs of linear regression is an L2 penalty: with many "
            "noisy copies of N examples the weights become those of ridge regression with λ = N σ².",
            source="Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995",
            instead_of="Noise on the inputs is L2 regularisation, for any model.",
        )
    },
    data="40 examples with 5 correlated features; least squares on 1 to 10,000 copies of them with noise of "
    "0.5; distance of its weights from ridge regression's, relative to their length",
    rule="over 5 draws the distance falls as the power −½ ± 0.1 of the number of copies, its mean at 10,000 "
    "is 0 ± 0.01, and without noise the weights are more than 0.1 away",
    quick=True,
)
def input_noise(setup: Setup) -> Evidence:
    """Fit noisy copies of the examples, and compare with the penalty."""
    distances, without = [], []
    for seed in setup.seeds(5, full=20):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(40, 5, generator=generator) @ (torch.eye(5) + 0.5)
        y = x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.5]) + 0.3 * torch.randn(40, generator=generator)
        ridge = get("ridge-regression", x, y, weight_decay=len(x) * _STD**2).x
        plain = get("least-squares", x, y, kind="solver").x
        without.append(float((plain - ridge).norm() / ridge.norm()))
        row = []
        for copies in _COPIES:
            noisy = x.repeat(copies, 1) + _STD * torch.randn(copies * len(x), 5, generator=generator)
            fitted = get("normal-equations", noisy, y.repeat(copies)).x
            row.append(float((fitted - ridge).norm() / ridge.norm()))
        distances.append(row)
    checks = [
        slope("the distance", _COPIES, distances, -0.5, within=0.1),
        near("the distance at 10,000 copies", [row[-1] for row in distances], 0.0, within=0.01),
        above("the distance of the unpenalised weights", without, 0.1),
    ]
    figure = Figure(
        "Least squares on noisy copies comes to ridge regression",
        "copies of the examples",
        "distance of the weights",
        {"noisy copies": distances},
        list(_COPIES),
        log="xy",
    )
    return Evidence({"input-noise-is-l2": checks}, figure)
