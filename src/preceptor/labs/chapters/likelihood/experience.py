"""What it means that a program learns."""

from __future__ import annotations

import numpy as np
import torch

from preceptor.labs import Claim, Evidence, Figure, Setup, lab, rising
from preceptor.training import Experiment
from preceptor.training.population import train_members

_SIZES = (10, 20, 50, 100, 200, 500, 1000)


@lab(
    "likelihood",
    {
        "experience-improves-performance": Claim(
            "A program learns: what it does on new examples gets better with the number it has seen.",
            source="Mitchell, Machine Learning, 1997, chapter 1",
        )
    },
    data="digits: softmax regression on 10 to 1,000 of its examples, measured on the validation examples",
    rule="rank correlation of accuracy with the number of examples at least 0.9, the mean over the seeds",
)
def experience(setup: Setup) -> Evidence:
    """Train on more and more examples, and measure on the same others."""
    seeds = setup.seeds(5, 20)
    base = Experiment.of(
        {"model": "linear", "data.source": "digits", "training.epochs": 30, "data.test": 0.1}
    )
    rows = []
    for seed in seeds:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(1300))
        rows += [order[:size] for size in _SIZES]
    members = train_members(base, [{"seed": seed} for seed in seeds for _ in _SIZES], rows=rows)
    measured = np.array([member.history[-1, "val_accuracy"] for member in members])
    accuracy = measured.reshape(len(seeds), len(_SIZES)).tolist()
    return Evidence(
        {"experience-improves-performance": [rising("accuracy", _SIZES, accuracy)]},
        Figure("Accuracy by experience", "training examples", "accuracy", {"softmax regression": accuracy},
               _SIZES, log="x"),
        [{"examples": n, "accuracy": round(a, 3)} for n, a in zip(_SIZES, np.mean(accuracy, 0), strict=True)],
    )  # fmt: skip
