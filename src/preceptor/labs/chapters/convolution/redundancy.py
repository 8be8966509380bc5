"""Blocks that a task does not need, under L2."""

from __future__ import annotations

from statistics import mean

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import preceptor
from preceptor.catalogue import get
from preceptor.catalogue.layers import Residual
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more
from preceptor.labs.chapters.convolution._examples import examples

_BLOCKS = 10


@lab(
    "convolution",
    {
        "unused-blocks": Claim(
            "L2 regularisation drives residual blocks that are not needed towards the identity: their "
            "branches "
            "shrink, and leaving one out changes nothing.",
            source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016",
        )
    },
    data="zeros and ones of the digits; a convolution, ten residual blocks of 8 channels without "
    "normalisation, "
    "and a linear layer; Nesterov momentum, rate 0.05, gradients of norm at most 0.5, L2 of 0.03 and none",
    rule="over seeds, the mean branch, over its input, is twice as large at least without L2; with L2 "
    "leaving out any one block changes the loss by at most 0.01, and accuracy is above 0.97",
)
def unused_blocks(setup: Setup) -> Evidence:
    """Train a network that is far too deep for its task, with and without L2."""
    digits = load_digits()
    easy = digits.target < 2
    data = (digits.images[easy][:, None].astype("float32"), digits.target[easy])
    sizes = {}
    for name, decay in (("without L2", 0.0), ("with L2", 0.03)):
        found = preceptor.train_population(
            _net, data, seeds=setup.seeds(4, 10), batch_size=64, epochs=setup.size(120, 400), lr=0.05,
            optimizer="nesterov", engine="sequential",
            settings={"optimizer.weight_decay": decay, "training.max_grad_norm": 0.5,
                      "training.patience": None,
                      "training.restore_best": False, "training.train_examples": 32},
        )  # fmt: skip
        sizes[name] = [_branch_sizes(run) for run in found.runs]
    means = {name: [mean(each) for each in rows] for name, rows in sizes.items()}
    costs = [max(map(abs, _left_out(run).values())) for run in found.runs]
    checks = [
        more("mean branch, without L2 against twice that with", means["without L2"],
             [2 * size for size in means["with L2"]]),
        exact("loss by leaving out a block, at most", max(costs), 0.01),
        above("accuracy with L2", [float(m.history[-1, "val_accuracy"]) for m in found], 0.97),
    ]  # fmt: skip
    places = list(range(1, _BLOCKS + 1))
    figure = Figure(
        "Branches against what they are added to", "block", "‖branch(x)‖ / ‖x‖", sizes, places, log="y"
    )
    return Evidence({"unused-blocks": checks}, figure)


def _net() -> nn.Module:
    def convolution(before: int) -> nn.Module:
        made: nn.Module = get("convolution", before, 8, padding=1)
        return made

    blocks = (
        get("residual-connection", nn.Sequential(convolution(8), nn.ReLU(), convolution(8)))
        for _ in range(_BLOCKS)
    )
    return nn.Sequential(convolution(1), nn.ReLU(), nn.MaxPool2d(2), *blocks, nn.Flatten(), nn.Linear(128, 2))


def _branch_sizes(run: preceptor.Run) -> list[float]:
    x, sizes = examples(run)[0], []
    with torch.no_grad():
        for module in run.model.eval().children():
            if isinstance(module, Residual):
                sizes.append(float(module.branch(x).norm() / x.norm()))
            x = module(x)
    return sizes


def _left_out(run: preceptor.Run) -> dict[str, float]:
    x, y = examples(run)
    blocks = [name for name, module in run.model.named_children() if isinstance(module, Residual)]
    with torch.no_grad():
        seen = get("layer-redundancy", run.model, lambda z: cross_entropy(z, y), x, blocks=blocks)
    changes: dict[str, float] = seen["changes"]
    return changes
