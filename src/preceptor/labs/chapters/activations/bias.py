"""Whether a small positive bias keeps rectifiers active at the start."""

from __future__ import annotations

import torch
from torch import nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, rising

_SOURCE = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.3.1"
_BIASES = (0.0, 0.01, 0.1, 0.5)


def _network(bias: float, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net: nn.Sequential = get("mlp", (100,), 1, hidden=[100] * 5, init="he-normal", kind="architecture")
    for layer in net:
        if isinstance(layer, nn.Linear):
            get("relu-bias", layer.bias.data, kind="initializer", value=bias)
    return net


def _seen(bias: float, seed: int) -> tuple[float, float]:
    net = _network(bias, seed)
    layers = get("activation-histograms", net, torch.randn(256, 100), kind="inspection")["layers"].values()
    return (
        100 * (1 - sum(layer["zeros"] for layer in layers) / len(layers)),
        100 * sum(layer["dead"] for layer in layers) / len(layers),
    )


@lab(
    "activations",
    {
        "positive-bias-activates": Claim(
            "A positive bias of rectifiers raises the share of units that are active at the start; how much "
            "depends on its size beside the weights: 0.01 does next to nothing.",
            source=_SOURCE,
        ),
        "positive-bias-revives": Claim(
            "A positive bias lowers the share of units that are dead at the start.", source=_SOURCE
        ),
    },
    data="256 standard normal examples of 100 features, five ReLU layers of 100 units with He's weights",
    rule="over networks, more active units with a bias of 0.1 than with none by one in a hundred at least, "
    "rank correlation of bias and active share 0.9; fewer dead ones with 0.1 than with none",
)
def rectifier_bias(setup: Setup) -> Evidence:
    """Count active and dead rectifiers at the start, by their bias."""
    seeds = setup.seeds(20, 100)
    seen = [[_seen(bias, seed) for seed in seeds] for bias in _BIASES]
    active = [[pair[0] for pair in row] for row in seen]
    dead = [[pair[1] for pair in row] for row in seen]
    means = [sum(row) / len(row) for row in active]
    checks = [
        more("active units in a hundred, bias 0.1 against none", active[2], active[0], by=1.0),
        rising("mean share of active units by bias", _BIASES, means),
    ]
    fewer = [more("dead units in a hundred, none against bias 0.1", dead[0], dead[2])]
    by_seed = [list(row) for row in zip(*active, strict=True)]
    return Evidence(
        {"positive-bias-activates": checks, "positive-bias-revives": fewer},
        Figure("Active rectifiers at the start", "bias", "active, %", {"active": by_seed}, _BIASES),
        [
            {"bias": bias, "active %": round(mean, 2), "dead %": round(sum(row) / len(row), 3)}
            for bias, mean, row in zip(_BIASES, means, dead, strict=True)
        ],
        "With He's weights one unit in a hundred is dead at the start, in deep layers: there the examples "
        "have become alike, and a bias, which is the same for all examples, makes them more so.",
    )
