"""Networks that fit labels which mean nothing."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near, told


@lab(
    "generalization",
    {
        "random-labels-are-fitted": Claim(
            "A network with far more weights than examples comes to zero training error by gradient "
            "descent, even on random labels, where there is nothing to learn for other examples.",
            source="Zhang et al., Understanding Deep Learning Requires Rethinking Generalization, 2017",
            reference="training error 0 on CIFAR-10 with random labels",
            instead_of="A network that fits its training examples perfectly has learned something.",
        )
    },
    data="500 digits, their labels once as they are and once shuffled; an MLP of 512 hidden units, gradient "
    "descent with momentum, 80 epochs without validation; accuracy on 1,297 others",
    rule="over 4 draws: on shuffled labels training accuracy is 1 in every run (mean 1 ± 0) and the loss "
    "below 0.05; accuracy on other examples is 0.1 ± 0.05 there, and above 0.9 with the true labels",
)
def random_labels(setup: Setup) -> Evidence:
    """Train one network on true and on shuffled labels."""
    digits = load_digits()
    x, y = digits.images[:, None].astype(np.float32), digits.target
    found: dict[str, list[tuple[float, float, float]]] = {"true": [], "shuffled": []}
    curves: dict[str, list[list[float]]] = {"true": [], "shuffled": []}
    for seed in setup.seeds(4, full=20):
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(x))
        seen, others = order[:500], order[500:]
        for labels in found:
            target = y[seen] if labels == "true" else generator.permutation(y[seen])
            run = preceptor.train(
                "mlp", (x[seen], target), optimizer="momentum", lr=0.05, epochs=setup.size(80, 200),
                batch_size=64, val=0.0, test=0.0, seed=seed, out=False,
                settings={"model.hidden": [512], "training.watch": False, "data.audit": "none",
                          "training.patience": None},
            )  # fmt: skip
            correct = float((run.predict(x[others]) == y[others]).mean())
            found[labels].append((run.history[-1, "train_accuracy"], run.history[-1, "train_loss"], correct))
            curves[labels].append(run.history[:, "train_loss"])
    shuffled, true = np.array(found["shuffled"]), np.array(found["true"])
    weights = sum(p.numel() for p in run.model.parameters())
    checks = [
        near("training accuracy on shuffled labels", shuffled[:, 0], 1.0, within=0.0),
        more("training loss on shuffled labels, 0.05 against it", np.full(len(true), 0.05), shuffled[:, 1]),
        near("accuracy on others after shuffled labels", shuffled[:, 2], 0.1, within=0.05),
        above("accuracy on others after true labels", true[:, 2], 0.9),
        told("weights for 500 examples", weights),
    ]
    figure = Figure(
        "Training loss on true and on shuffled labels",
        "epoch",
        "training loss",
        {f"{name} labels": rows for name, rows in curves.items()},
        list(range(1, len(curves["true"][0]) + 1)),
        log="y",
    )
    return Evidence({"random-labels-are-fitted": checks}, figure)
