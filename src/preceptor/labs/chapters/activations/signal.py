"""What the scale of the first weights makes of a signal on its way through ten layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, near

DEPTH, WIDTH, EXAMPLES = 10, 500, 128
_GLOROT = "Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Networks, 2010"
_HE = "He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015"
_BOUND = 6 / math.sqrt(2 * WIDTH)  # the bound √(6 / (m + n)), its root forgotten
_WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tanh, N(0, 0.01²)": ("tanh", "normal", {"std": 0.01}),
    "tanh, N(0, 1)": ("tanh", "standard-normal", {}),
    "tanh, Xavier": ("tanh", "xavier-normal", {}),
    "identity, Xavier": ("identity", "xavier-normal", {}),
    "ReLU, Xavier": ("relu", "xavier-normal", {}),
    "ReLU, He": ("relu", "he-normal", {}),
    "ReLU, 6/√(m+n)": ("relu", "uniform", {"low": -_BOUND, "high": _BOUND}),
    "tanh, 6/√(m+n)": ("tanh", "uniform", {"low": -_BOUND, "high": _BOUND}),
}


@dataclass
class Signal:
    """What was seen of one network: by layer, the deviation of its units, and of their gradients."""

    std: list[float]
    gradient: list[float]
    saturated: float


def _seen(way: str, seed: int) -> Signal:
    activation, init, options = _WAYS[way]
    unit = get(activation, kind="activation")
    torch.manual_seed(seed)
    layers: list[Tensor] = [torch.randn(EXAMPLES, WIDTH)]
    before: list[Tensor] = []
    for _ in range(DEPTH):
        weights = get(init, torch.empty(WIDTH, WIDTH), kind="initializer", **options)
        before.append((layers[-1] @ weights.T).requires_grad_())
        layers.append(unit(before[-1]))
    slopes = torch.autograd.grad((layers[-1] * torch.randn(EXAMPLES, WIDTH)).sum(), before)
    units = torch.stack([z.detach() for z in layers[1:]])
    return Signal(
        units.std((1, 2)).tolist(),
        [float(slope.std()) for slope in slopes],
        float((units.abs() > 0.99).float().mean()),
    )


def _of(signals: dict[str, list[Signal]], way: str, layer: int) -> list[float]:
    return [signal.std[layer - 1] for signal in signals[way]]


def _tanh_checks(signals: dict[str, list[Signal]]) -> dict[str, list[Check]]:
    small, large = signals["tanh, N(0, 0.01²)"], signals["tanh, N(0, 1)"]
    return {
        "small-weights-vanish": [
            near("deviation in layer 1", _of(signals, "tanh, N(0, 0.01²)", 1), 0.214, within=0.005),
            near("in layer 5", _of(signals, "tanh, N(0, 0.01²)", 5), 5.3e-4, within=5e-5),
            near("in layer 10", _of(signals, "tanh, N(0, 0.01²)", 10), 2.9e-7, within=4e-8),
            above(
                "gradient in layer 10 over that in layer 1",
                [s.gradient[-1] / s.gradient[0] for s in small],
                1e5,
            ),
        ],
        "large-weights-saturate": [
            near("share of units beyond ±0.99", [s.saturated for s in large], 0.9, within=0.03),
        ],
        "saturation-explodes": [
            above(
                "gradient in layer 1 over that in layer 10",
                [s.gradient[0] / s.gradient[-1] for s in large],
                100,
            ),
        ],
        "xavier-keeps-variance": [
            near("identity units, layer 10", _of(signals, "identity, Xavier", 10), 1.0, within=0.15),
            near("tanh units, layer 1", _of(signals, "tanh, Xavier", 1), 0.63, within=0.03),
            near("tanh units, layer 10", _of(signals, "tanh, Xavier", 10), 0.23, within=0.03),
        ],
    }


def _relu_checks(signals: dict[str, list[Signal]]) -> dict[str, list[Check]]:
    xavier, he = _of(signals, "ReLU, Xavier", 10), _of(signals, "ReLU, He", 10)
    ratio = max(abs(a / b / 2 ** (DEPTH / 2) - 1) for a, b in zip(he, xavier, strict=True))
    return {
        "he-for-rectifiers": [
            near("He, layer 10", he, math.sqrt(1 - 1 / math.pi), within=0.15),
            near("Xavier, layer 10", xavier, math.sqrt(1 - 1 / math.pi) / 2 ** (DEPTH / 2), within=0.005),
            exact("their ratio, 2 to the power 10/2, relative", ratio, 1e-4),
        ],
        "glorot-needs-its-root": [
            near("ReLU without the root, layer 10", _of(signals, "ReLU, 6/√(m+n)", 10), 206, within=40),
            near(
                "share of saturated tanh units without the root",
                [s.saturated for s in signals["tanh, 6/√(m+n)"]],
                0.17,
                within=0.03,
            ),
        ],
    }


@lab(
    "activations",
    {
        "small-weights-vanish": Claim(
            "Weights of deviation 0.01 shrink the signal of a 500-unit tanh layer by the same factor in "
            "every "
            "layer: ten layers leave 3e-7 of it, and as little of the gradient.",
            source=_GLOROT,
            reference="0.214, 5.3e-4 and 2.9e-7 in layers 1, 5 and 10",
            instead_of="With small weights the outputs become zero: a shallow network trains with them.",
        ),
        "large-weights-saturate": Claim(
            "With weights of deviation 1, nine of ten tanh units stand at one of their ends.", source=_GLOROT
        ),
        "saturation-explodes": Claim(
            "In such a network gradients grow on their way back: few units let them pass, but those multiply "
            "them by large weights.",
            source="Poole et al., Exponential Expressivity in Deep Neural Networks through Transient "
            "Chaos, 2016",
            instead_of="Saturated units make the gradient collapse.",
        ),
        "xavier-keeps-variance": Claim(
            "Xavier's weights keep the variance of linear units, and let that of tanh units fall slowly.",
            source=_GLOROT,
            reference="tanh: 0.63 in layer 1, 0.23 in layer 10",
            instead_of="Initialisation keeps the variance of the weights the same; it is that of the units.",
        ),
        "he-for-rectifiers": Claim(
            "Before rectifiers Xavier's weights halve the mean square in each layer; He's keep it.",
            source=_HE,
            reference="0.023 against 0.73 in layer 10, one network",
        ),
        "glorot-needs-its-root": Claim(
            "The uniform bound is √(6/(m+n)); without the root the variance is six times too large, and "
            "signals explode.",
            source=_GLOROT,
            reference="ReLU 206 in layer 10; 17 % of tanh units saturated",
            instead_of="Weights are uniform within ± 6/√(m+n).",
        ),
    },
    data=f"{EXAMPLES} standard normal examples through {DEPTH} layers of {WIDTH} units, without biases",
    rule="mean over eight networks within a stated distance of the published or derived value",
)
def signal_through_depth(setup: Setup) -> Evidence:
    """Follow the deviation of units, and of their gradients, from layer to layer."""
    seeds = setup.seeds(8, 20)
    signals = {way: [_seen(way, seed) for seed in seeds] for way in _WAYS}
    shown = {way: [signal.std for signal in each] for way, each in signals.items() if "6/" not in way}
    rows = [
        {"network": way, "layer 1": _mean(signals, way, 1), "layer 10": _mean(signals, way, DEPTH)}
        for way in _WAYS
    ]
    return Evidence(
        {**_tanh_checks(signals), **_relu_checks(signals)},
        Figure("The signal by layer", "layer", "deviation of the units", shown, range(1, DEPTH + 1), log="y"),
        rows,
    )


def _mean(signals: dict[str, list[Signal]], way: str, layer: int) -> float:
    each = _of(signals, way, layer)
    return float(f"{sum(each) / len(each):.3g}")
