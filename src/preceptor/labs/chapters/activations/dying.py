"""Rectifiers that die: how one step can do it, and which activations it cannot happen to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor import train_population
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, exact, lab, more, near
from preceptor.labs.chapters._digits import digits
from preceptor.labs.chapters._trained import at_the_end, training_part

_MAAS = "Maas, Hannun and Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013"
_RATES = (0.1, 1.0, 10.0, 100.0)
_UNITS = ("relu", "leaky-relu", "elu", "maxout")
_ASLEEP = 1e-6  # a derivative below this on every example: the unit does not learn


def _asleep(net: nn.Sequential, x: Tensor) -> float:
    """Return the share of hidden units that pass no gradient on any example."""
    shares, h = [], x
    for layer in net:
        if isinstance(layer, (nn.Linear, nn.Flatten)):
            h = layer(h).detach()
            continue
        z = h.requires_grad_()
        h = layer(z)
        (slope,) = torch.autograd.grad(h.sum(), z)
        passed = slope.abs().unflatten(1, (h.shape[1], -1)).sum(2).amax(0)
        shares.append(float((passed < _ASLEEP).float().mean()))
        h = h.detach()
    return sum(shares) / len(shares)


def _network(activation: str, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net: nn.Sequential = get(
        "mlp", (64,), 10, hidden=[64, 64], activation=activation, init="he-normal", kind="architecture"
    )
    return net


def _after_one_step(activation: str, lr: float, seed: int) -> float:
    x, y = digits()
    net = _network(activation, seed)
    rows = torch.randperm(len(x))[:32]
    optimizer = get("sgd", kind="optimizer", lr=lr)(net.parameters())
    nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
    optimizer.step()
    return _asleep(net, x)


def _zeros(seed: int) -> tuple[float, float]:
    """Return the share of zero outputs, and that of dead units, at the start."""
    seen = get("activation-histograms", _network("relu", seed), digits()[0], kind="inspection")["layers"]
    zeros, dead = (sum(layer[key] for layer in seen.values()) / len(seen) for key in ("zeros", "dead"))
    return zeros, dead


def _trained(seeds: list[int], lr: float, epochs: int) -> list[float]:
    """Return the share of dead units of each of several networks that were trained with a rate."""
    found = train_population(
        "mlp",
        "digits",
        seeds=seeds,
        engine="batched",
        optimizer="sgd",
        lr=lr,
        epochs=epochs,
        settings={"model.hidden": [64, 64], "model.init": "he-normal"},
    )
    x, _ = training_part(found)
    return [_asleep(at_the_end(member), x) for member in found]


def _step_checks(by: dict[str, list[list[float]]]) -> list[Check]:
    return [
        more(
            "asleep after a step of rate 10, ReLU against leaky ReLU",
            _column(by["relu"], 2),
            _column(by["leaky-relu"], 2),
            by=0.1,
        ),
        exact(
            "asleep after steps of any rate, leaky ReLU and maxout",
            max(max(row) for name in ("leaky-relu", "maxout") for row in by[name]),
        ),
    ]


def _column(rows: list[list[float]], place: int) -> list[float]:
    return [row[place] for row in rows]


@lab(
    "activations",
    {
        "high-rate-kills-rectifiers": Claim(
            "One step of a high learning rate can put rectifiers where no example of the training set "
            "activates them; then no gradient brings them back. Leaky ReLU and maxout cannot die.",
            source=_MAAS,
        ),
        "elu-falls-asleep": Claim(
            "ELU does not die in theory, but eᶻ is no gradient for z = −30: after a huge step some of its "
            "units sleep all the same.",
            source="Clevert, Unterthiner and Hochreiter, Exponential Linear Units, 2016",
            instead_of="ELU has all the advantages of ReLU and does not die.",
        ),
        "training-kills-rectifiers": Claim(
            "Trained with too high a rate, a ReLU network loses units for good.", source=_MAAS
        ),
        "half-zero-is-not-dead": Claim(
            "At the start half of all ReLU outputs are zero, and hardly any unit is dead: dead is a unit "
            "that "
            "is zero on all examples.",
            source="Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, 2011",
            instead_of="A unit is dead if its output is zero, and half of them are.",
        ),
    },
    data="digits, an MLP of two hidden layers of 64 units, one step on 32 examples or three epochs",
    rule="units with derivatives below 1e-6 on all examples: after a step of rate 10 a tenth more of ReLU's "
    "than of leaky ReLU's, none of leaky ReLU's and maxout's at any rate; of ELU's one in a hundred "
    "at least after rate 100; a tenth more after training with rate 1 than with 0.05; zeros 0.5 ± 0.05, "
    "dead at most 0.02",
)
def dying_units(setup: Setup) -> Evidence:
    """Put networks through steps of a high rate, and count the units that no gradient passes any more."""
    seeds = setup.seeds(10, 40)
    by = {name: [[_after_one_step(name, lr, seed) for lr in _RATES] for seed in seeds] for name in _UNITS}
    zeros, dead = zip(*(_zeros(seed) for seed in seeds), strict=True)
    low, high = (_trained(seeds, lr, setup.size(3, 10)) for lr in (0.05, 1.0))
    checks = {
        "high-rate-kills-rectifiers": _step_checks(by),
        "elu-falls-asleep": [above("ELU units asleep after a step of rate 100", _column(by["elu"], 3), 0.01)],
        "training-kills-rectifiers": [more("dead after training, rate 1 against 0.05", high, low, by=0.1)],
        "half-zero-is-not-dead": [
            near("share of zero outputs", zeros, 0.5, within=0.05),
            near("share of dead units", dead, 0.0, within=0.02),
        ],
    }
    figure = Figure(
        "Units that no gradient passes after one step", "learning rate", "share", by, _RATES, log="x"
    )
    return Evidence(checks, figure)
