"""What dropout does to the units: how much each is needed, and how long they take to learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more
from preceptor.labs.chapters.generalization._parts import tested_on

_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
_SRIVASTAVA = "Srivastava et al., Dropout, 2014"


@lab(
    "generalization",
    {
        "dropout-makes-redundant": Claim(
            "A network that was trained with dropout loses less when units are taken away.",
            source=_SRIVASTAVA,
        ),
        "dropout-takes-longer": Claim(
            "With dropout it takes more epochs to the same training loss.",
            source=_SRIVASTAVA,
            reference="two to three times as long",
        ),
    },
    data="digits, an MLP of 128 units, 60 epochs of Adam, without dropout and with 0.5; accuracy on test "
    "examples where a random 25 to 90 % of the hidden outputs are 0, the mean of 10 choices",
    rule="over 5 starts: without 75 % of its units the dropout network is right more than 0.05 more often "
    "than the other; the epochs to a training loss of 0.05, measured without dropout, are more than 1.2 "
    "times as many",
)
def dropout_units(setup: Setup) -> Evidence:
    """Train with and without dropout, and take units away."""
    seeds = setup.seeds(5, full=20)
    population = preceptor.train_population(
        "mlp", "digits", members=[{"dropout": 0.0}, {"dropout": 0.5}], seeds=seeds, epochs=60, lr=1e-3,
        settings={"training.patience": "none"}, engine="batched",
    )  # fmt: skip
    curves = np.array([member.history[:, "train_loss"] for member in population])
    epochs = (curves > 0.05).sum(1) + 1
    x, y = tested_on(population.run(0))
    accuracy = np.array(
        [[_without(run.model.eval(), x, y, share) for share in _SHARES]
         for run in population.runs]
    )  # fmt: skip
    plain, dropped = accuracy[: len(seeds)], accuracy[len(seeds) :]
    at = _SHARES.index(0.75)
    checks = {
        "dropout-makes-redundant": [
            more("accuracy without 75 % of the units, after dropout", dropped[:, at], plain[:, at], by=0.05)
        ],
        "dropout-takes-longer": [
            above("epochs to a training loss of 0.05, with dropout over without",
                  epochs[len(seeds) :] / epochs[: len(seeds)], 1.2)
        ],
    }  # fmt: skip
    figure = Figure(
        "Taking hidden units away",
        "share of the units taken away",
        "test accuracy",
        {"trained without dropout": plain.tolist(), "trained with dropout": dropped.tolist()},
        list(_SHARES),
    )
    return Evidence(checks, figure)


def _without(model: nn.Module, x: Tensor, y: Tensor, share: float) -> float:
    """Return the accuracy with a share of the hidden outputs set to 0, the mean of 10 choices."""
    generator = torch.Generator().manual_seed(0)
    unit = next(module for module in model.modules() if isinstance(module, nn.ReLU))
    found = []
    for _ in range(10):
        kept = torch.rand(128, generator=generator).argsort() >= round(128 * share)
        handle = unit.register_forward_hook(_silencing(kept))
        with torch.no_grad():
            found.append(float((model(x).argmax(1) == y).float().mean()))
        handle.remove()
    return float(np.mean(found))


def _silencing(kept: Tensor) -> Any:
    return lambda module, inputs, output: output * kept
