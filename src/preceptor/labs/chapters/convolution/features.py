"""Learned features against hand-designed ones."""

from __future__ import annotations

from statistics import mean

from sklearn.datasets import load_digits

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, told

_NOTE = (
    "Digits of 8×8 are so plain that a few dozen suffice to learn features of them; on photographs, where "
    "designed features were better for decades, a few dozen do not."
)


@lab(
    "convolution",
    {
        "learned-features": Claim(
            "With enough examples learned features beat hand-designed ones.",
            source="Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural "
            "Networks, 2012",
        ),
        "hand-designed-features-few": Claim(
            "With few examples hand-designed features are the better ones.",
            source="Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, 2005",
        ),
    },
    data="digits: 30, 100, 300 and 1,200 to train on, the last 597 to test; histograms of oriented gradients "
    "with a linear layer, and a network of two convolutions, each shown 4,000 examples or more, in 10 "
    "passes at least",
    rule="the accuracy, seed by seed, of the convolutional network is higher with 1,200 examples, and that "
    "of "
    "the hand-designed features with 30",
)
def learned_and_designed(setup: Setup) -> Evidence:
    """Train on more and more digits, with learned features and with designed ones."""
    digits = load_digits()
    x, y = digits.images[:, None].astype("float32"), digits.target
    sizes = [30, 100, 300, 1200]
    nets = {
        "hand-designed": ("hand-designed-features", 0.1),
        "learned": ({"name": "convnet", "channels": [16, 32], "convolutions": 1, "hidden": []}, 5e-3),
    }
    curves = {name: [[0.0] * len(sizes) for _ in setup.seeds(9, 15)] for name in nets}
    for name, (model, rate) in nets.items():
        for column, n in enumerate(sizes):
            found = preceptor.train_population(
                model, (x[:n], y[:n]), seeds=setup.seeds(9, 15), lr=rate, epochs=max(10, 4_000 // n),
                settings={"data.val": 0.0, "data.test": 0.0, "data.order": "random"},
            )  # fmt: skip
            for row, run in enumerate(found.runs):
                curves[name][row][column] = run.evaluate((x[1200:], y[1200:])).metrics["accuracy"]
    at = {name: list(zip(*rows, strict=True)) for name, rows in curves.items()}
    checks = {
        "learned-features": [
            more("accuracy with 1,200 examples, learned", at["learned"][-1], at["hand-designed"][-1])
        ],
        "hand-designed-features-few": [
            more("accuracy with 30 examples, hand-designed", at["hand-designed"][0], at["learned"][0]),
            told("learned with 100, 300", f"{mean(at['learned'][1]):.3f}, {mean(at['learned'][2]):.3f}"),
            told(
                "designed with 100, 300",
                f"{mean(at['hand-designed'][1]):.3f}, {mean(at['hand-designed'][2]):.3f}",
            ),
        ],
    }
    figure = Figure("Test accuracy", "training examples", "accuracy", curves, sizes, log="x")
    return Evidence(checks, figure, note=_NOTE)
