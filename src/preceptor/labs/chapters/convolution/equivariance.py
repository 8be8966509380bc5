"""Shifts: convolutions move along, pooling over everything forgets them, and what that is worth."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab

_LECUN = "LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989"


@lab(
    "convolution",
    {
        "convolution-equivariance": Claim(
            "A convolution commutes with shifts: shift the image, and its maps are shifted, not the same.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.2",
            instead_of="convolution is invariant under translation",
        ),
        "global-pooling-invariance": Claim(
            "Pooling over all places makes it invariant; pooling over windows only where the shift is a "
            "whole stride.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.3",
        ),
    },
    data="random images of 16×16 that are shifted around a circle, in float64",
    rule="no difference above 1e-12 where there is to be none, at least 0.1 where there is to be one",
    quick=True,
)
def shift_equivariance(setup: Setup) -> Evidence:
    """Shift images before and after convolutions and pooling."""
    torch.set_default_dtype(torch.float64)
    layer = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    x = torch.randn(8, 1, 16, 16)
    pool = get("max-pooling")
    steps = range(9)
    with torch.no_grad():
        maps = layer(x)
        moved = [layer(_rolled(x, s)) for s in steps]
        errors = {
            "maps, shifted alike": [_gap(y, _rolled(maps, s)) for s, y in zip(steps, moved, strict=True)],
            "maps as they were": [_gap(y, maps) for y in moved],
            "2×2 pooled, shifted by half": [
                _gap(pool(y), _rolled(pool(maps), s // 2)) for s, y in zip(steps, moved, strict=True)
            ],
            "pooled over all": [_gap(y.amax((2, 3)), maps.amax((2, 3))) for y in moved],
        }
    checks = {
        "convolution-equivariance": [
            exact("shifted maps against maps of the shifted", max(errors["maps, shifted alike"]), 1e-12),
            _apart("maps of the shifted against maps as they were", min(errors["maps as they were"][1:])),
        ],
        "global-pooling-invariance": [
            exact("maximum over all places", max(errors["pooled over all"]), 1e-12),
            exact(
                "windows of 2, shifts by 2, 4, 6, 8", max(errors["2×2 pooled, shifted by half"][::2]), 1e-12
            ),
            _apart("windows of 2, shifts by 1, 3, 5, 7", min(errors["2×2 pooled, shifted by half"][1::2])),
        ],
    }
    figure = Figure("What a shift changes", "shift in pixels", "mean difference", errors, list(steps))
    return Evidence(checks, figure)


def _rolled(x: Tensor, s: int) -> Tensor:
    return torch.roll(x, s, -1)


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean())


def _apart(what: str, difference: float) -> Check:
    return Check(f"{what}: they differ by {difference:.3g}, above 0.1", difference > 0.1)


@lab(
    "convolution",
    {
        "shift-robustness": Claim(
            "A convolutional network that pools over all places still knows digits that are shifted by a "
            "pixel; a fully connected one of as many parameters loses a third of them or more.",
            source=_LECUN,
            reference="accuracy .978 → .958 against .978 → .483 (5,130 and 4,810 parameters)",
        )
    },
    data="the 1,797 digits of 8×8 with a border of 2 pixels; tested on validation images, each shifted by a "
    "pixel in the four directions",
    rule="over seeds, the convolutional network stays above 0.9, the fully connected one loses at least 0.33 "
    "of accuracy, and without a shift both are above 0.93",
)
def shifted_digits(setup: Setup) -> Evidence:
    """Train both kinds of network on digits in place, and test them on shifted ones."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.nn.functional.pad(torch.tensor(digits.images[:, None] / 16, dtype=torch.float32), (2,) * 4)
    seeds = setup.seeds(3, 10)
    shifts = range(3)
    nets = {"convolutional": _pooled_net, "fully connected": _dense_net}
    curves: dict[str, list[list[float]]] = {name: [] for name in nets}
    counts = {}
    for name, make in nets.items():
        trained = preceptor.train_population(
            make, (images.numpy(), digits.target), seeds=seeds, epochs=setup.size(15, 40), lr=1e-2,
            settings={"training.patience": None},
        )  # fmt: skip
        counts[name] = sum(p.numel() for p in make().parameters())
        for run in trained.runs:
            part = run.part("val")
            rows: Any = () if part is None else part.rows
            curves[name].append([_accuracy(run, images[rows], digits.target[rows], s) for s in shifts])
    still = {name: [c[0] for c in rows] for name, rows in curves.items()}
    lost = {name: [c[0] - c[1] for c in rows] for name, rows in curves.items()}
    checks = [
        *(above(f"accuracy, {name}, no shift", values, 0.93) for name, values in still.items()),
        above("accuracy, convolutional, one pixel", [c[1] for c in curves["convolutional"]], 0.9),
        above("accuracy lost by one pixel, fully connected", lost["fully connected"], 0.33),
    ]
    figure = Figure("Accuracy on shifted digits", "shift in pixels", "accuracy", curves, list(shifts))
    table = [
        {"network": name, "parameters": counts[name], "in place": mean(still[name]), "lost": mean(lost[name])}
        for name in nets
    ]
    return Evidence({"shift-robustness": checks}, figure, table)


def _pooled_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def _dense_net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 31), nn.ReLU(), nn.Linear(31, 10))


def _accuracy(run: preceptor.Run, x: Tensor, y: NDArray[np.int64], shift: int) -> float:
    """Return the accuracy on images that are shifted along both axes, either way, a border of zeros ahead."""
    ways = [(shift, 2), (-shift, 2), (shift, 3), (-shift, 3)] if shift else [(0, 2)]
    moved = [torch.roll(x, by, axis).numpy() for by, axis in ways]
    return mean(run.evaluate((each, y)).metrics["accuracy"] for each in moved)
