"""Noise on hidden units against shrinking the weights, each as strong as validation asks for."""

from __future__ import annotations

import numpy as np

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, told

_DECAYS = (0.01, 0.1, 0.3, 1.0, 3.0)
_DROPOUTS = (0.1, 0.2, 0.3, 0.5, 0.7)


@lab(
    "generalization",
    {
        "noise-beats-decay": Claim(
            "Noise on the hidden units, as strong as validation asks for, leads to a lower test loss than "
            "weight decay, as strong as validation asks for.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.5",
        )
    },
    data="about 300 digits to learn from, 305 to validate on, 1,186 to test on; an MLP of 256 units, 60 "
    "epochs of AdamW, the best of them by validation; dropout of 0.1 to 0.7, or decay of 0.01 to 3",
    rule="over 6 splits, each with the strength of the lowest validation loss: the test loss with decay is "
    "higher than with noise",
)
def hidden_noise(setup: Setup) -> Evidence:
    """Tune both on the validation examples, and compare them on the test examples."""
    kinds: dict[str, list[dict[str, float]]] = {"none": [{}], "decay": [{"weight_decay": v} for v in _DECAYS],
             "noise": [{"dropout": v} for v in _DROPOUTS]}  # fmt: skip
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for seed in setup.seeds(6, full=20):
        population = preceptor.train_population(
            "mlp", "digits", members=[change for kind in kinds.values() for change in kind],
            optimizer="adamw", epochs=60, lr=3e-3, batch_size=32, engine="batched",
            settings={"seed": seed, "data.seed": seed, "data.val": 0.17, "data.test": 0.66,
                      "optimizer.weight_decay": 0.0, "model.hidden": [256], "training.patience": "none"},
        )  # fmt: skip
        members = iter(population)
        for name, changes in kinds.items():
            tried = [next(members) for _ in changes]
            best = min(tried, key=lambda member: member.best if member.best is not None else np.inf)
            judged = population.run(best.index).evaluate("test")
            found[name].append((judged.loss, judged.metrics["accuracy"]))
    loss = {name: np.array(rows)[:, 0] for name, rows in found.items()}
    accuracy = {name: np.array(rows)[:, 1] for name, rows in found.items()}
    checks = [
        more("test loss, decay against noise", loss["decay"], loss["noise"]),
        *(told(f"test accuracy, {name}", float(values.mean())) for name, values in accuracy.items()),
    ]
    figure = Figure(
        "Regularised as validation asks for, 300 digits",
        "regularised by",
        "test loss",
        {"loss": np.stack(list(loss.values()), 1).tolist()},
        list(loss),
        kind="bars",
    )
    return Evidence({"noise-beats-decay": checks}, figure)
