"""Dense connections: gradients of early layers, and the use that late layers make of early maps."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.layers import Concatenation
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more

_HUANG = "Huang, Liu, van der Maaten and Weinberger, Densely Connected Convolutional Networks, 2017"
_DEPTH = 40


@lab(
    "convolution",
    {
        "dense-gradients": Claim(
            "Dense connections keep the gradients of early layers alive: they vary less along the depth than "
            "those of a plain network of as many layers.",
            source=_HUANG,
        ),
        "feature-reuse": Claim(
            "Late layers use the maps of early ones: their weights on them are about as large as those on "
            "late ones, "
            "and what a trained network computes rests on them.",
            source=_HUANG + ", section 5",
        ),
    },
    data="digits of 8×8; gradients at the start, of 40 layers; weights of a densely connected network of 16 "
    "layers after 4 epochs",
    rule="over seeds, the ratio of the gradient of the first layer to that of the last is closer to 1 by a "
    "factor of 2 at least; the last layer's mean weight on the first half of the maps is more than half of "
    "that on the others, and hiding what came into the last stage from its later layers raises the loss",
)
def dense_connections(setup: Setup) -> Evidence:
    """Measure gradients along the depth at the start, and what a trained network rests on."""
    x, y = torch.randn(32, 1, 8, 8), torch.randint(10, (32,))
    nets = {"dense": _dense, "plain": _plain}
    seeds = setup.seeds(4, 20)
    curves = {name: [_gradients(make, x, y, seed) for seed in seeds] for name, make in nets.items()}
    ratio = {name: [abs(_log2(c[0] / c[-1])) for c in rows] for name, rows in curves.items()}
    found = preceptor.train_population(
        lambda: get("densenet-40", (1, 8, 8), 10, depth=16, growth_rate=6), "digits",
        seeds=setup.seeds(3, 6), epochs=setup.size(4, 20), batch_size=64, lr=3e-3, engine="sequential",
        settings={"training.train_examples": 300},
    )  # fmt: skip
    used = [_use(run) for run in found.runs]
    checks = {
        "dense-gradients": [
            more("doublings between the first and the last layer, plain against dense", ratio["plain"],
                 ratio["dense"], by=1.0)
        ],
        "feature-reuse": [
            above("weight on early maps over weight on late ones", [share for share, _ in used], 0.5),
            above("rise of the loss where the later layers of a stage do not see what came into it",
                  [rise for _, rise in used], 0.0),
        ],
    }  # fmt: skip
    layers = list(range(1, len(curves["dense"][0]) + 1))
    figure = Figure(
        "Gradient at the start, by layer", "layer", "norm over mean norm", curves, layers, log="y"
    )
    return Evidence(checks, figure)


def _log2(value: float) -> float:
    return float(torch.tensor(value).log2())


def _dense() -> nn.Module:
    net: nn.Module = get("densenet-40", (1, 8, 8), 10, depth=_DEPTH, growth_rate=6)
    return net


def _plain() -> nn.Module:
    """Return the same layers without the maps that go past them: each sees the last one's alone."""
    net: Any = _dense()
    before = 16
    for stage in (net.stage1, net.stage2, net.stage3):
        for i, layer in enumerate(stage):
            inside = list((layer.branch if isinstance(layer, Concatenation) else layer).children())
            conv = next(m for m in inside if isinstance(m, nn.Conv2d))
            after = conv.out_channels if isinstance(layer, Concatenation) else before
            side = conv.kernel_size[0]
            made = nn.Conv2d(before, after, side, padding=side // 2, bias=False)
            nn.init.kaiming_normal_(made.weight)
            rest = [m for m in inside if isinstance(m, nn.AvgPool2d)]
            stage[i] = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), made, *rest)
            before = after
    net.end[0] = nn.BatchNorm2d(before)
    net.classifier = nn.Linear(before, 10)
    return cast(nn.Module, net)


def _gradients(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, seed: int) -> list[float]:
    """Return the gradient of each 3×3 convolution's weights over the mean of all."""
    torch.manual_seed(seed)
    net = make()
    cross_entropy(net(x), y).backward()
    norms = get("gradient-norms", net)["relative"]
    kept = [norms[f"{n}.weight"] for n, m in net.named_modules()
            if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]  # fmt: skip
    return [value / mean(kept) for value in kept]


def _use(run: preceptor.Run) -> tuple[float, float]:
    """Return the last layer's weight on early maps over that on late ones, and what hiding them costs."""
    *_, last = (m for m in run.model.modules() if isinstance(m, Concatenation))
    conv = next(m for m in last.branch.modules() if isinstance(m, nn.Conv2d))
    half = conv.in_channels // 2
    weights = conv.weight.detach().abs().mean((0, 2, 3))
    whole = run.evaluate("val").loss
    shown = [m for m in run.model.get_submodule("stage3").children() if isinstance(m, Concatenation)]
    first = next(m.num_features for m in shown[0].branch.modules() if isinstance(m, nn.BatchNorm2d))

    def hide(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        kept = inputs[0].clone()
        kept[:, :first] = kept[:, :first].mean((0, 2, 3), keepdim=True)
        return kept

    hooks = [layer.branch.register_forward_pre_hook(hide) for layer in shown[1:]]
    rise = run.evaluate("val").loss - whole
    for hook in hooks:
        hook.remove()
    return float(weights[:half].mean() / weights[half:].mean()), rise
