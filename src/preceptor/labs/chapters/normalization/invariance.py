"""What batch normalisation does not notice, and what follows for the learning rate."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, more, rising

_SCALES = (1.0, 10.0, 100.0)
_LR, _DECAY, _STEPS = 0.3, 0.01, 150
_LAARHOVEN = "van Laarhoven, L2 Regularization versus Batch and Weight Normalization, 2017"


def _net() -> nn.Sequential:
    """Return a linear layer, batch normalisation without ε, tanh and a linear layer, in float64."""
    norm = get("batch-norm", 16, eps=1e-30, kind="normalization")
    return nn.Sequential(nn.Linear(8, 16, bias=False), norm, nn.Tanh(), nn.Linear(16, 1)).double()


def _data(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(64, 8, generator=generator, dtype=torch.float64)
    return x, torch.sin(x.sum(1, keepdim=True))


def _loss(net: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    loss: Tensor = 0.5 * (net(x) - y).square().mean()
    return loss


def _weights(net: nn.Sequential) -> Tensor:
    """Return the weights that the normalisation follows."""
    return cast(nn.Linear, net[0]).weight


def _slope(net: nn.Sequential, weights: Tensor, x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """Return the loss and the first layer's gradient at the given weights."""
    _weights(net).data.copy_(weights)
    loss = _loss(net, x, y)
    (slope,) = torch.autograd.grad(loss, _weights(net))
    return float(loss.detach()), slope


@lab(
    "normalization",
    {
        "bn-ignores-weight-scale": Claim(
            "Weights before batch normalisation can be multiplied by any number above 0: the outputs stay.",
            source="Ioffe and Szegedy, Batch Normalization, 2015, section 3.3",
        ),
        "bn-gradient-falls-with-the-weights": Claim(
            "The gradient of such weights is inversely proportional to their length, and orthogonal to them.",
            source=_LAARHOVEN,
        ),
        "effective-rate-falls-with-the-square": Claim(
            "A step of rate α turns such weights as a step of α / ‖w‖² turns weights of length 1.",
            source=_LAARHOVEN,
            instead_of="The effective learning rate is α / ‖w‖.",
        ),
    },
    data="a network 8-16-1 with batch normalisation without ε, 64 random examples, the first layer's "
    "weights multiplied by 1, 10 and 100, in float64",
    rule="loss equal to 1e-9; gradient times length equal to 1e-6 of itself, gradient and weights at right "
    "angles to 1e-9 (cosine); a step of 1e-3 leads to the direction that a step of 1e-3 / ‖w‖² leads to from "
    "weights of length 1, to 1e-6 of the turn, and with 1e-3 / ‖w‖ it is wrong by more than a half of it",
    quick=True,
)
def weight_scale(setup: Setup) -> Evidence:
    """Multiply the weights before a batch normalisation, and follow loss, gradient and direction."""
    torch.manual_seed(setup.seed)
    net, (x, y) = _net(), _data(setup.seed)
    start = _weights(net).detach().clone()
    found = [_slope(net, start * scale, x, y) for scale in _SCALES]
    lengths = np.array([float(slope.norm()) for _, slope in found])
    cosines = [float((slope * start).sum() / slope.norm() / start.norm()) for _, slope in found]
    products = lengths * np.array(_SCALES)
    real = _turn(net, start, 1e-3, x, y)
    unit, length = start / start.norm(), float(start.norm())
    wrong = {
        power: float((_turn(net, unit, 1e-3 / length**power, x, y) - real).norm() / real.norm())
        for power in (1, 2)
    }
    losses = [loss for loss, _ in found]
    checks = {
        "bn-ignores-weight-scale": [exact("losses at three scales", max(losses) - min(losses), 1e-9)],
        "bn-gradient-falls-with-the-weights": [
            exact("gradient × scale, relative", float(np.ptp(products) / products[0]), 1e-6),
            exact("cosine of gradient and weights", max(map(abs, cosines)), 1e-9),
        ],
        "effective-rate-falls-with-the-square": [
            exact("turn by α / ‖w‖², relative", wrong[2], 1e-6),
            Check(f"turn by α / ‖w‖, relative: wrong by {wrong[1]:.3g}, more than 0.5", wrong[1] > 0.5),
        ],
    }
    table = [{"scale": s, "loss": a, "gradient": g} for s, a, g in zip(_SCALES, losses, lengths, strict=True)]
    return Evidence(checks, table=[{key: float(v) for key, v in row.items()} for row in table])


def _turn(net: nn.Sequential, weights: Tensor, lr: float, x: Tensor, y: Tensor) -> Tensor:
    """Return by how much a step changes the direction of the weights."""
    after = weights - lr * _slope(net, weights, x, y)[1]
    turned: Tensor = after / after.norm() - weights / weights.norm()
    return turned


@lab(
    "normalization",
    {
        "bn-implies-a-decay": Claim(
            "Before batch normalisation weights grow with every step of gradient descent, so that their "
            "effective rate falls though no schedule lowers it.",
            source="Arora, Li and Lyu, Theoretical Analysis of Auto Rate-Tuning by Batch Normalization, 2019",
        ),
        "weight-decay-keeps-the-rate-up": Claim(
            "Weight decay ends that growth, and so keeps the effective rate up; how strongly the function is "
            "regularised it does not change there.",
            source=_LAARHOVEN,
            instead_of="Weight decay keeps normalised networks from overfitting by small weights.",
        ),
    },
    data="a network 8-16-1 with batch normalisation, 64 random examples, 150 full-batch steps, at "
    "0.3 for the first layer, with and without weight decay of 0.01, and at 0.1 for the others, in float64",
    rule="over 4 starts: without decay the length never falls from one step to the next and the effective "
    "rate ends lower than it began; with decay the final effective rate is more than 1.2 times as high as "
    "without; multiplying the decayed weights by 10 changes the loss by at most 1e-9",
    quick=True,
)
def implicit_decay(setup: Setup) -> Evidence:
    """Follow the length of normalised weights, and the rate that they are trained with."""
    found: dict[float, list[list[float]]] = {0.0: [], _DECAY: []}
    shrunk, unscaled = [], []
    for seed in setup.seeds(4, full=20):
        for decay, rows in found.items():
            net, rates = _trained(seed, decay)
            rows.append(rates)
            if decay == 0.0:
                shrunk.append(float(np.diff(rates).max()))
        x, y = _data(seed)
        losses = [_slope(net, _weights(net).detach() * scale, x, y)[0] for scale in (1.0, 10.0)]
        unscaled.append(abs(losses[1] - losses[0]))
    plain, decayed = (np.array(rows) for rows in found.values())
    checks = {
        "bn-implies-a-decay": [
            exact("largest rise of the effective rate within a step", max(max(shrunk), 0.0)),
            more("effective rate, first against last", plain[:, 0], plain[:, -1]),
            rising("effective rate with the steps", np.arange(_STEPS + 1), plain, falling=True),
        ],
        "weight-decay-keeps-the-rate-up": [
            above("final effective rate, with decay over without", decayed[:, -1] / plain[:, -1], 1.2),
            exact("loss with the decayed weights × 10", max(unscaled), 1e-9),
        ],
    }
    figure = Figure(
        "The rate that normalised weights are trained with",
        "step",
        "effective rate α / ‖w‖²",
        {"no decay": plain.tolist(), "weight decay 0.01": decayed.tolist()},
        list(range(_STEPS + 1)),
        log="y",
    )
    return Evidence(checks, figure)


def _trained(seed: int, decay: float) -> tuple[nn.Sequential, list[float]]:
    """Return the network, and the effective rate of its first layer before and after every step."""
    torch.manual_seed(seed)
    net, (x, y) = _net(), _data(seed)
    others = [p for name, p in net.named_parameters() if name != "0.weight"]
    optimizer = torch.optim.SGD(
        [{"params": [_weights(net)], "weight_decay": decay}, {"params": others, "lr": 0.1}], lr=_LR
    )
    effective = get("effective-rate")
    rates = [effective(net, _LR)["0.weight"]]
    for _ in range(_STEPS):
        optimizer.zero_grad()
        _loss(net, x, y).backward()
        optimizer.step()
        rates.append(effective(net, _LR)["0.weight"])
    return net, rates
