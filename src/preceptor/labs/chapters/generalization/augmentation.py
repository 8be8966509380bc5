"""Examples that are moved a little in training, and images that are moved in use."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, told

_SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


@lab(
    "generalization",
    {
        "augmentation-generalises": Claim(
            "Examples that are shifted at random in training make a network right on shifted images.",
            source="Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks, 2003",
        ),
        "augmentation-must-fit-the-use": Claim(
            "On images that are not shifted it brings nothing of that size: augmentation helps with what "
            "varies in use.",
            source="Shorten and Khoshgoftaar, A Survey on Image Data Augmentation, 2019",
            instead_of="Augmentation improves generalisation.",
        ),
    },
    data="300 digits to learn from, an MLP of 128 units, 60 epochs, with and without shifts of up to one "
    "pixel; accuracy on 1,497 others, as they are and shifted by one pixel in 8 directions",
    rule="over 4 draws of examples: with augmentation the accuracy on shifted images is more than 0.2 "
    "higher; on others as they are, it is not more than 0.05 higher",
)
def augmentation(setup: Setup) -> Evidence:
    """Train with and without shifts, and measure on shifted images."""
    digits = load_digits()
    x, y = digits.images[:, None].astype(np.float32) / 16, digits.target
    found: dict[str, list[tuple[float, float]]] = {"plain": [], "augmented": []}
    for seed in setup.seeds(4, full=20):
        order = np.random.default_rng(seed).permutation(len(x))
        seen, others = order[:300], order[300:]
        for name, rows in found.items():
            run = preceptor.train(
                "mlp", (x[seen], y[seen]), epochs=setup.size(60, 300), lr=3e-3, val=0.0, test=0.0, seed=seed,
                augmentations=["translation=1"] if name == "augmented" else None, out=False,
                settings={"training.watch": False, "data.audit": "none", "training.train_examples": 0,
                          "training.monitor": "train_loss_running", "data.scale": "none",
                          "training.patience": None},
            )  # fmt: skip
            rows.append((_accuracy(run, [x[others]], y[others]),
                         _accuracy(run, [_moved(x[others], *by) for by in _SHIFTS], y[others])))  # fmt: skip
    plain, augmented = np.array(found["plain"]), np.array(found["augmented"])
    checks = {
        "augmentation-generalises": [
            more("accuracy on shifted images with augmentation", augmented[:, 1], plain[:, 1], by=0.2),
            told("accuracy without shift and without augmentation", float(plain[:, 0].mean())),
        ],
        "augmentation-must-fit-the-use": [
            more("accuracy as they are, without augmentation + 0.05 against with it",
                 plain[:, 0] + 0.05, augmented[:, 0]),
        ],
    }  # fmt: skip
    figure = Figure(
        "Shifts in training, and shifts in use",
        "test images",
        "accuracy",
        dict(found),
        ["as they are", "shifted by a pixel"],
        kind="bars",
    )
    return Evidence(checks, figure)


def _accuracy(run: preceptor.Run, sets: list[Any], labels: Any) -> float:
    with torch.no_grad():
        named = [run.model.eval()(torch.tensor(images)).argmax(1).numpy() for images in sets]
    return float(np.mean([answers == labels for answers in named]))


def _moved(images: Any, dy: int, dx: int) -> Any:
    """Return images shifted by a pixel, with 0 where nothing moves in."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return padded[..., 1 - dy : 9 - dy, 1 - dx : 9 - dx]
