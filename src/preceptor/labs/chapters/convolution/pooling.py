"""Pooling against overfitting."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from sklearn.datasets import load_digits
from torch import nn

import preceptor
from preceptor.labs import Check, Claim, Evidence, Figure, Setup, lab, more, told

_NOTE = (
    "Fewer weights are not a smaller gap. Images of 8×8 have no detail to spare: what pooling throws away, "
    "the "
    "validation examples miss. Its gain is in larger images, where neighbours repeat each other."
)


@lab(
    "convolution",
    {
        "pooling-weights": Claim(
            "Pooling leaves far fewer weights to the fully connected layers behind the maps.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.3",
        ),
        "pooling-overfitting": Claim(
            "By that, pooling prevents overfitting: the gap between training and validation is smaller.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 9.3",
        ),
    },
    data="300 digits to train on, 300 to validate; two convolutions of 8 and 16 channels, each followed "
    "by max-pooling, made with stride 2, or neither, and 32 hidden units",
    rule="fewer than a tenth of the weights; over seeds, after 40 epochs the gap of accuracy is larger "
    "without "
    "pooling",
)
def pooling_and_overfitting(setup: Setup) -> Evidence:
    """Train small networks with pooling, with stride and with neither on few digits."""
    digits = load_digits()
    x, y = digits.images[:600, None].astype("float32"), digits.target[:600]
    gaps, counts, rows = {}, {}, []
    for kind in ("pooling", "stride", "neither"):
        found = preceptor.train_population(
            _net(kind), (x, y), seeds=setup.seeds(6, 20), epochs=40, lr=3e-3,
            settings={"data.val": 0.5, "data.test": 0.0, "data.order": "random", "training.patience": None,
                      "training.restore_best": False},
        )  # fmt: skip
        last = {key: [float(m.history[-1, key]) for m in found] for key in ("train_accuracy", "val_accuracy")}
        gaps[kind] = [a - b for a, b in zip(last["train_accuracy"], last["val_accuracy"], strict=True)]
        counts[kind] = sum(m.weight.numel() for m in _net(kind)().modules() if isinstance(m, nn.Linear))
        rows.append(
            {"maps made smaller by": kind, "weights behind them": counts[kind], "gap": mean(gaps[kind])}
        )
    less = Check(
        f"weights, {counts['pooling']:,} of {counts['neither']:,}",
        counts["pooling"] < 0.1 * counts["neither"],
    )
    checks = {
        "pooling-weights": [less],
        "pooling-overfitting": [
            more("gap of accuracy, neither against pooling", gaps["neither"], gaps["pooling"]),
            told("gap with stride", mean(gaps["stride"])),
        ],
    }
    kinds = list(gaps)
    figure = Figure("Gap between training and validation", "maps made smaller by", "accuracy lost",
                    {"gap": [list(row) for row in zip(*gaps.values(), strict=True)]}, kinds,
                    "bars")  # fmt: skip
    return Evidence(checks, figure, rows, _NOTE)


def _net(kind: str) -> Callable[[], nn.Module]:
    stride, flat = (2 if kind == "stride" else 1), 16 * (64 if kind == "neither" else 4)

    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in ((1, 8), (8, 16)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if kind == "pooling" else []
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 32), nn.ReLU(), nn.Linear(32, 10))

    return make
