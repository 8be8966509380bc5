"""AdaGrad and RMSProp on a network, each at its best rate."""

from __future__ import annotations

import numpy as np

from preceptor import train_population
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more

_RATES = {"adagrad": (0.003, 0.01, 0.03, 0.1), "rmsprop": (0.0003, 0.001, 0.003, 0.01)}


def _losses(name: str, rate: float, seeds: list[int], epochs: int) -> list[list[float]]:
    """Return the training loss by seed and epoch."""
    found = train_population(
        "mlp",
        "digits",
        seeds=seeds,
        engine="sequential",
        optimizer=name,
        lr=rate,
        epochs=epochs,
        batch_size=64,
        settings={"model.hidden": [64, 64], "model.init": "he-normal", "training.patience": epochs},
    )
    return [[float(row["train_loss"]) for row in member.history] for member in found]


def _ends(rows: list[list[float]]) -> list[float]:
    """Return the mean logarithm of the last quarter of each curve."""
    return [float(np.log(row[-len(row) // 4 :]).mean()) for row in rows]


@lab(
    "optimization",
    {
        "adagrad-stalls": Claim(
            "On a network AdaGrad's falling rate makes it stall behind RMSProp.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.5.1",
        )
    },
    data="digits, an MLP of two hidden layers of 64 units, each optimizer at the best of four rates, "
    "chosen on three "
    "other starts",
    rule="mean logarithm of the training loss over the last quarter of the epochs: AdaGrad's loss twice "
    "RMSProp's, "
    "at least, start by start",
)
def adagrad_on_a_network(setup: Setup) -> Evidence:
    """Train a network by AdaGrad and by RMSProp."""
    seeds, epochs = setup.seeds(11, 22), setup.size(12, 60)
    tuning, others = seeds[:3], seeds[3:]
    curves = {}
    for name, rates in _RATES.items():
        tuned = {rate: np.mean(_ends(_losses(name, rate, tuning, epochs))) for rate in rates}
        curves[name] = _losses(name, min(tuned, key=tuned.__getitem__), others, epochs)
    ends = {name: _ends(rows) for name, rows in curves.items()}
    figure = Figure("Training loss", "epoch", "loss", curves, range(1, epochs + 1), log="y")
    checks = [
        more(
            "ln of the training loss, AdaGrad against RMSProp", ends["adagrad"], ends["rmsprop"], by=np.log(2)
        )
    ]
    return Evidence(
        {"adagrad-stalls": checks},
        figure,
        note="A rate that falls is no harm where the way is short: on an easy problem AdaGrad at its best "
        "rate keeps up.",
    )
