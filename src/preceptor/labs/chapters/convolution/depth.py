"""Depth with and without shortcuts, with layers left out at random, and with layers that are not needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.layers import Residual
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, lab, more, near, rising, told
from preceptor.labs.chapters.convolution._examples import examples

_HE = "He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016"
_HUANG = "Huang, Sun, Liu, Sedra and Weinberger, Deep Networks with Stochastic Depth, 2016"
_DEPTHS = (8, 20, 56)
_KINDS = ("plain", "residual")


def _net(depth: int, kind: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        name = "stochastic-depth-resnet" if kind == "stochastic depth" else "resnet-20"
        net: nn.Module = get(name, (1, 8, 8), 10, depth=depth, width=0.25)
        return _without_shortcuts(net) if kind == "plain" else net

    return make


def _without_shortcuts(net: nn.Module) -> nn.Module:
    for name, stage in list(net.named_children()):
        if name.startswith("stage"):
            blocks: list[Any] = list(stage.children())
            setattr(net, name, nn.Sequential(*(nn.Sequential(b.branch, b.activation) for b in blocks)))
    return net


def _trained(depth: int, kind: str, setup: Setup) -> preceptor.Population:
    return preceptor.train_population(
        _net(depth, kind), "digits", seeds=setup.seeds(5, 8), epochs=setup.size(3, 20), batch_size=64,
        lr=2e-3,
        engine="sequential",
        settings={"training.train_examples": 500, "training.restore_best": False, "training.patience": None},
    )  # fmt: skip


@lab(
    "convolution",
    {
        "plain-depth-degrades": Claim(
            "Without shortcuts a deeper network trains worse: its error on the training examples rises.",
            source=_HE,
            reference="training and test error of 56 plain layers above those of 20 (CIFAR-10)",
        ),
        "shortcuts-cure-depth": Claim("Shortcuts cure that: 56 layers train about as well as 8.", source=_HE),
        "shortcuts-can-hurt": Claim(
            "Even with shortcuts a deeper network can end worse than a shallower one.",
            source=_HE + ", section 4.2: 1,202 layers test worse than 110",
            instead_of="skip connections are guaranteed not to hurt",
        ),
        "stochastic-depth-time": Claim(
            "Leaving out blocks at random, late ones more often, saves training time: a quarter of the "
            "blocks "
            "is passed over.",
            source=_HUANG,
            reference="25 % at survival probabilities from 1 to ½; 1,202 layers 4.91 % error on CIFAR-10",
        ),
        "redundant-blocks": Claim(
            "The more blocks with shortcuts there are, the less each of them matters.",
            source="Veit, Wilber and Belongie, Residual Networks Behave Like Ensembles of Relatively Shallow "
            "Networks, 2016",
        ),
    },
    data="digits of 8×8; residual networks of 8, 20 and 56 layers for small images with a quarter of the "
    "published channels, and the same without shortcuts; as many steps for all",
    rule="over seeds, the rank correlation of depth and training loss without shortcuts is at least 0.9, and "
    "56 layers lose at least 0.5 against 8; that loss is at least 0.5 less with shortcuts; the deeper "
    "network "
    "ends with the higher loss in at least one of the residual pairs; 0.24 ± 0.05 of the blocks are passed "
    "over, and CPU time is saved; the median block that is left out raises the loss more with 20 layers",
)
def depth_and_shortcuts(setup: Setup) -> Evidence:
    """Train plain and residual networks of three depths, and time one with blocks left out at random."""
    runs = {(kind, depth): _trained(depth, kind, setup) for kind in _KINDS for depth in _DEPTHS}
    if setup.full:
        runs["stochastic depth", 56] = _trained(56, "stochastic depth", setup)
    loss = {key: _last(found, "train_loss") for key, found in runs.items()}
    lost = {kind: [b - a for a, b in zip(loss[kind, 8], loss[kind, 56], strict=True)] for kind in _KINDS}
    checks = {
        "plain-depth-degrades": [
            rising("training loss with plain layers", _DEPTHS, _by_depth(loss, "plain"), least=0.9),
            more("training loss, 56 plain layers against 8", loss["plain", 56], loss["plain", 8], by=0.5),
        ],
        "shortcuts-cure-depth": [
            more("lost by 56 layers in place of 8, plain, residual", lost["plain"], lost["residual"], by=0.5)
        ],
        "shortcuts-can-hurt": [_hurt(runs)],
        "stochastic-depth-time": _saved(setup),
        "redundant-blocks": _redundant(runs),
    }
    series = {kind: _by_depth(loss, kind) for kind in _KINDS}
    figure = Figure("Training loss after as many steps", "layers", "training loss", series, _DEPTHS)
    table = [
        {"network": kind, "layers": depth, "training loss": mean(loss[kind, depth]),
         "validation accuracy": mean(_last(found, "val_accuracy"))}
        for (kind, depth), found in runs.items()
    ]  # fmt: skip
    return Evidence(checks, figure, table)


def _by_depth(loss: dict[tuple[str, int], list[float]], kind: str) -> list[list[float]]:
    """Return a row a seed, of a loss for each depth."""
    return [list(row) for row in zip(*(loss[kind, depth] for depth in _DEPTHS), strict=True)]


def _last(found: preceptor.Population, key: str) -> list[float]:
    return [float(member.history[-1, key]) for member in found]


def _hurt(runs: dict[tuple[str, int], preceptor.Population]) -> Check:
    """Count the pairs of residual networks of one seed of which the deeper ends with the higher loss."""
    count = of = 0
    for shallow, deep in ((8, 20), (20, 56), (8, 56)):
        for key in ("train_loss", "val_loss"):
            pairs = zip(
                _last(runs["residual", shallow], key), _last(runs["residual", deep], key), strict=True
            )
            worse = [after > before for before, after in pairs]
            count, of = count + sum(worse), of + len(worse)
    return Check(
        f"pairs in which the deeper ends with the higher loss: {count} of {of}, at least 1", count > 0
    )


def _saved(setup: Setup) -> list[Check]:
    """Count the blocks that are passed over, and time steps of both networks by turns, in CPU time."""
    nets = [_net(56, kind)().train() for kind in ("residual", "stochastic depth")]
    x, y = torch.rand(64, 1, 8, 8), torch.randint(10, (64,))
    passed = []
    for module in nets[1].modules():
        if isinstance(module, Residual):
            module.branch.register_forward_hook(lambda *_: passed.append(1))

    def seconds(net: nn.Module) -> float:
        began = time.process_time()
        for _ in range(3):
            net.zero_grad()
            cross_entropy(net(x), y).backward()
        return time.process_time() - began

    rounds = setup.size(12, 40)
    times = [[seconds(net) for net in nets] for _ in range(rounds)]
    blocks = 27 * 3 * rounds
    return [
        near("share of the blocks that is passed over", [1 - len(passed) / blocks], 0.24, within=0.05),
        above("share of CPU time that is saved", [1 - dropped / whole for whole, dropped in times]),
    ]


def _redundant(runs: dict[tuple[str, int], preceptor.Population]) -> list[Check]:
    rises = {key: [_median_rise(run) for run in found.runs] for key, found in runs.items() if key[1] > 8}
    text = ", ".join(f"{kind} {depth}: {mean(each):.3g}" for (kind, depth), each in rises.items())
    return [
        more(
            "loss by leaving out the median block, 20 layers, 56",
            rises["residual", 20],
            rises["residual", 56],
        ),
        told("of all networks", text),
    ]


def _median_rise(run: preceptor.Run) -> float:
    """Return by how much the loss changes, at the median, without each block that keeps its input's shape."""
    x, y = (each[:128] for each in examples(run))
    blocks = [f"{n}.{i}" for n, stage in run.model.named_children() if n.startswith("stage")
              for i, _ in enumerate(stage.children())]  # fmt: skip

    def loss(z: Tensor) -> Tensor:
        return cross_entropy(z, y)

    with torch.no_grad():
        changes = get("layer-redundancy", run.model, loss, x, blocks=blocks)["changes"]
    return float(torch.tensor(list(changes.values())).abs().median())
