"""Wide and shallow against thin and deep."""

from __future__ import annotations

import time
from statistics import mean

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, above, lab, more, told

_ZAGORUYKO = "Zagoruyko and Komodakis, Wide Residual Networks, 2016"
_NETS = {"thin, 28 layers": (28, 0.25), "wide, 10 layers": (10, 0.55)}


@lab(
    "convolution",
    {
        "wide-is-faster": Claim(
            "Of two residual networks with as many parameters the wide and shallow one takes less time a "
            "step: "
            "fewer, larger operations, which also have more to do side by side.",
            source=_ZAGORUYKO,
            reference="WRN-40-4 trains 8 times as fast as ResNet-1001, with the same error",
        ),
        "wide-is-as-accurate": Claim("It is no less accurate.", source=_ZAGORUYKO),
    },
    data="digits of 8×8; wide residual networks of 28 layers, a quarter as wide as the narrow one, and of 10",
    rule="parameters within 5 %; CPU time of a step, by turns, at least 1.3 times as long for the deep one; "
    "over "
    "seeds, after as many epochs the wide one's validation accuracy at most 0.02 below",
)
def wide_and_shallow(setup: Setup) -> Evidence:
    """Time and train a thin deep network and a wide shallow one of the same size."""
    counts = {name: sum(p.numel() for p in _make(*size).parameters()) for name, size in _NETS.items()}
    thin, wide = counts
    ratio = counts[wide] / counts[thin]
    ratios = _step_ratios(setup.size(8, 30))
    accuracy = {}
    for name, size in _NETS.items():
        found = preceptor.train_population(
            lambda size=size: _make(*size), "digits", seeds=setup.seeds(3, 6), epochs=setup.size(5, 30),
            batch_size=64, lr=3e-3, engine="sequential",
            settings={"training.train_examples": 300, "training.patience": None},
        )  # fmt: skip
        accuracy[name] = [list(member.history[:, "val_accuracy"]) for member in found]
    best = {name: [max(each) for each in rows] for name, rows in accuracy.items()}
    equal = Check(f"parameters, {counts[wide]:,} against {counts[thin]:,}", abs(ratio - 1) <= 0.05)
    checks = {
        "wide-is-faster": [
            equal,
            above("CPU time of a step, thin over wide", ratios, 1.3),
            told("operations of an example, thin, wide", _operations()),
        ],
        "wide-is-as-accurate": [
            equal,
            more("accuracy, wide against thin less 0.02", best[wide], [a - 0.02 for a in best[thin]]),
        ],
    }
    epochs = list(range(1, len(accuracy[thin][0]) + 1))
    table = [{"network": n, "parameters": counts[n], "validation accuracy": mean(best[n])} for n in counts]
    return Evidence(
        checks, Figure("As many parameters", "epoch", "validation accuracy", accuracy, epochs), table
    )


def _make(depth: int, widen: float) -> nn.Module:
    net: nn.Module = get("wrn-28-10", (1, 8, 8), 10, depth=depth, widen=widen)
    return net


def _operations() -> str:
    return ", ".join(f"{preceptor.summary(_make(*size), (1, 8, 8)).operations:,}" for size in _NETS.values())


def _step_ratios(rounds: int) -> list[float]:
    """Return the CPU time of steps of the first network over that of the second, measured by turns."""
    nets = [_make(*size).train() for size in _NETS.values()]
    x, y = torch.rand(64, 1, 8, 8), torch.randint(10, (64,))

    def seconds(net: nn.Module) -> float:
        began = time.process_time()
        for _ in range(3):
            net.zero_grad()
            cross_entropy(net(x), y).backward()
        return time.process_time() - began

    return [seconds(nets[0]) / seconds(nets[1]) for _ in range(rounds + 1)][1:]
