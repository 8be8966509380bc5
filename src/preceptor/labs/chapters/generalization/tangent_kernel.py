"""Wide networks, and the linear model with a fixed kernel that they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, rising

_JACOT = "Jacot, Gabriel and Hongler, Neural Tangent Kernel, 2018"
_EXAMPLES, _OTHERS, _INPUTS, _LR, _STEPS = 16, 16, 8, 0.5, 200


class _Scaled(nn.Linear):
    """A linear layer whose weights are of size one, and are divided by √inputs in the pass forward."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = super().forward(x) / self.in_features**0.5
        return scaled


@lab(
    "generalization",
    {
        "kernel-becomes-constant": Claim(
            "The wider a network, the less its tangent kernel and its weights move while it is trained.",
            source=_JACOT,
        ),
        "wide-nets-are-linear": Claim(
            "A wide network predicts what the linear model with its tangent kernel at the start predicts, "
            "the more closely the wider it is.",
            source="Lee et al., Wide Neural Networks of Any Depth Evolve as Linear Models, 2019",
        ),
    },
    data="tanh networks of three layers 8-n-n-1 in the kernel's parameterisation, n from 16 to 1,024; "
    "gradient descent on 16 random examples, 200 steps at 0.5; 16 others to predict",
    rule="over 4 starts: the kernel's relative change, the weights' relative movement and the distance of "
    "both predictions fall with the width (rank correlation at most −0.9), and each is at least 5 times as "
    "large at 16 as at 1,024 units (the interval of the mean logarithm of their ratio is above log 5)",
)
def tangent_kernel(setup: Setup) -> Evidence:
    """Train networks of growing width, and compare kernels, weights and predictions."""
    widths = setup.size((16, 64, 256, 1024), (16, 64, 256, 1024, 2048))
    moved = np.array([[_moved(width, seed) for width in widths] for seed in setup.seeds(4, full=10)])
    kernel, weights, gap = (moved[:, :, i] for i in range(3))
    five = float(np.log(5))
    checks = {
        "kernel-becomes-constant": [
            check
            for name, values in (("relative change of the kernel", kernel), ("movement of weights", weights))
            for check in (
                rising(name, widths, values, falling=True),
                more(f"log {name}, 16 against 1,024 units", *_ends(values), by=five),
            )
        ],
        "wide-nets-are-linear": [
            rising("distance of the predictions", widths, gap, falling=True),
            more("log distance, 16 against 1,024 units", *_ends(gap), by=five),
        ],
    }
    figure = Figure(
        "How far training takes a network from its linear model",
        "hidden units",
        "relative change",
        {"kernel": kernel.tolist(), "weights": weights.tolist(), "prediction": gap.tolist()},
        list(widths),
        log="xy",
    )
    return Evidence(checks, figure)


def _ends(values: Any) -> tuple[Any, Any]:
    """Return the logarithms at 16 and at 1,024 units."""
    return np.log(values[:, 0]), np.log(values[:, 3])


def _moved(width: int, seed: int) -> tuple[float, float, float]:
    """Return how far kernel and weights moved, and how far the predictions are from the linear model's."""
    torch.manual_seed(seed)
    x = torch.randn(_EXAMPLES + _OTHERS, _INPUTS)
    y = torch.sin(x[:_EXAMPLES].sum(1, keepdim=True))
    net = nn.Sequential(
        _Scaled(_INPUTS, width), nn.Tanh(), _Scaled(width, width), nn.Tanh(), _Scaled(width, 1)
    )
    kernel = get("neural-tangent-kernel", net, x)["kernel"]
    with torch.no_grad():
        start = net(x)
    before = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    optimizer = get("gradient-descent", net.parameters(), lr=_LR)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        (0.5 * (net(x[:_EXAMPLES]) - y).square().mean()).backward()
        optimizer.step()
    after = nn.utils.parameters_to_vector(net.parameters()).detach()
    changed = get("neural-tangent-kernel", net, x)["kernel"]
    with torch.no_grad():
        gap = (net(x) - _linear(kernel, start, y))[_EXAMPLES:]
    return (
        float((changed - kernel).norm() / kernel.norm()),
        float((after - before).norm() / before.norm()),
        float(gap.square().mean().sqrt()),
    )


def _linear(kernel: Tensor, start: Tensor, y: Tensor) -> Tensor:
    """Return what the linearised network says after as many steps: f ← f − (lr / N) K (f − y)."""
    outputs = start.clone()
    for _ in range(_STEPS):
        outputs -= _LR / _EXAMPLES * kernel[:, :_EXAMPLES] @ (outputs[:_EXAMPLES] - y)
    return outputs
