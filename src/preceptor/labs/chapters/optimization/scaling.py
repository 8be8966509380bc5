"""The scale of inputs, and what it makes of the descent."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, near, told
from preceptor.labs._checks import Check

_LECUN = "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998"
_MOST = 20_000


def _table(name: str) -> tuple[Tensor, Tensor]:
    read = load(name)
    classes, y = np.unique(np.asarray(read.targets), return_inverse=True)
    x = torch.from_numpy(np.asarray(read.inputs, dtype=float))
    return x, torch.nn.functional.one_hot(torch.from_numpy(y), len(classes)).double()


def _with_bias(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


def _steps(x: Tensor, y: Tensor, goal: float, most: int) -> int:
    """Return the steps of gradient descent, softmax regression from zero, until the loss is below a goal.

    The rate is 1/L, L the largest curvature that the loss can have: ½ λ_max(xᵀx / N).
    """
    x = _with_bias(x)
    rate = 2.0 / float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1])
    w = torch.zeros(x.shape[1], y.shape[1], dtype=x.dtype)
    for step in range(most):
        logp = torch.log_softmax(x @ w, 1)
        if float(-(logp * y).sum(1).mean()) < goal:
            return step
        w -= rate * x.T @ (logp.exp() - y) / len(x)
    return most


def _conditions(x: Tensor) -> tuple[float, float]:
    """Return the condition numbers of the curvature xᵀx, of raw and of standardised inputs."""
    found = [
        float(get("condition-number", x, standardize=scaled, kind="inspection")["condition_number"]) ** 2
        for scaled in (False, True)
    ]
    return found[0], found[1]


def _table_checks(
    name: str, published: tuple[float, float], most: int
) -> tuple[list[Check], dict[str, object]]:
    x, y = _table(name)
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    conditions = _conditions(x)
    quick, slow = _steps(scaled, y, 0.1, most), _steps(x, y, 0.1, most)
    checks = [
        *(
            near(f"{name}: condition number, {how}", [found], expected, within=0.1 * expected)
            for how, found, expected in zip(("raw", "standardised"), conditions, published, strict=True)
        ),
        exact(
            f"{name}: a hundred times the {quick:,} steps of standardised inputs, less raw inputs' {slow:,}"
            f"{' or more' if slow == most else ''}",
            max(0, 100 * quick - slow),
        ),
    ]
    return checks, {
        "data": name,
        "condition raw": conditions[0],
        "standardised": conditions[1],
        "steps raw": slow,
        "steps standardised": quick,
    }


def _descent(x: Tensor, y: Tensor, rate: float, steps: int = 50) -> list[float]:
    """Return the mean squared error of linear regression from zero, before each step and at the end."""
    w, losses = torch.zeros(x.shape[1], dtype=x.dtype), []
    for _ in range(steps + 1):
        rest = x @ w - y
        losses.append(float(rest.square().mean()))
        w = w - rate * 2 * x.T @ rest / len(x)
    return losses


def _stable(x: Tensor) -> float:
    return 2 / float(torch.linalg.eigvalsh(2 * x.T @ x / len(x))[-1])


def _thousandfold(seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(5, generator=generator, dtype=torch.float64)
    rate, large = 0.5 * _stable(x), 1000 * x
    at_zero = (large.T @ y).norm() / (x.T @ y).norm()
    plain, same = _descent(x, y, rate), _descent(large, y, rate / 1e6)
    apart = max(abs(a - b) / plain[0] for a, b in zip(plain, same, strict=True))
    return {
        "gradient": float(at_zero),
        "stable": _stable(x) / _stable(large),
        "apart": apart,
        "blown up": math.log10(_descent(large, y, rate / 1e3)[-1] / plain[0]),
    }


@lab(
    "optimization",
    {
        "standardising-cures-the-ravine": Claim(
            "Standardised inputs cure the ravine that features of different scales make: condition numbers "
            "fall by powers of ten, and steps by more than a hundred times.",
            source=_LECUN,
            reference="condition number 8.0e7 to 45.5 (wine), 2.2e12 to 1.0e5 (breast cancer)",
        ),
        "thousandfold-inputs": Claim(
            "Inputs a thousand times as large make the first gradient a thousand times as large, but need "
            "a learning "
            "rate that is a million times smaller.",
            source=_LECUN,
            reference="with a rate a thousand times smaller the loss passes 1e100 within fifty steps",
            instead_of="Multiplied by 1000, the gradient is 1000 times larger: lower the rate by that "
            "factor.",
        ),
    },
    data="wine and breast cancer, softmax regression; 200 examples of a linear function of five features",
    rule="condition numbers within a tenth of the published ones, steps to a loss of 0.1 a hundred times "
    "fewer; "
    "ratios of gradients and of stable rates 1e3 and 1e6 to 1e-6, the same losses at a millionth of the "
    "rate, and "
    "at a thousandth a loss beyond 1e100",
)
def input_scale(setup: Setup) -> Evidence:
    """Descend on raw and on standardised inputs, and on inputs times a thousand."""
    most = setup.size(_MOST, 200_000)
    wine, first = _table_checks("wine", (8.0e7, 45.5), most)
    cancer, second = _table_checks("breast-cancer", (2.2e12, 1.0e5), most)
    found = [_thousandfold(seed) for seed in setup.seeds(10, 50)]
    large = [
        exact(
            "gradient at zero, ratio less 1000, relative",
            max(abs(f["gradient"] / 1e3 - 1) for f in found),
            1e-6,
        ),
        exact(
            "stable rate, ratio less a million, relative",
            max(abs(f["stable"] / 1e6 - 1) for f in found),
            1e-6,
        ),
        exact("losses at a millionth of the rate, beside the first", max(f["apart"] for f in found), 1e-9),
        above("power of ten of the loss after 50 steps at a thousandth", [f["blown up"] for f in found], 100),
        told("stable rates' ratio", "a million, by λ_max(xᵀx)"),
    ]
    figure = Figure(
        "Condition number of the inputs' curvature",
        "data",
        "condition number",
        {
            "raw": [first["condition raw"], second["condition raw"]],
            "standardised": [first["standardised"], second["standardised"]],
        },
        ["wine", "breast cancer"],
        kind="bars",
        log="y",
    )
    checks = {"standardising-cures-the-ravine": [*wine, *cancer], "thousandfold-inputs": large}
    return Evidence(checks, figure, [first, second])
