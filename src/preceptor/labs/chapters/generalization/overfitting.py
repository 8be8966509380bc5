"""Training too long, too short, and with too small a model, in the curves of training and validation."""

from __future__ import annotations

from typing import Any

import numpy as np

import preceptor
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, near, rising

_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, sections 5.2 and 7.8"
_FEW = {"data.val": 0.65, "data.test": 0.2, "training.patience": "none"}
_HALVES = {"data.val": 0.25, "data.test": 0.25, "training.patience": "none"}


@lab(
    "generalization",
    {
        "validation-turns-up": Claim(
            "A network that is large for its data lowers its training error on and on, while its validation "
            "error falls and rises again.",
            source=_GOODFELLOW,
        ),
        "early-stopping-restores-the-best": Claim(
            "Going back to the weights of the lowest validation error lowers the error on other examples "
            "too.",
            source=_GOODFELLOW,
        ),
    },
    data="270 digits to learn from, an MLP of 512 hidden units, Adam at 0.003, 150 epochs, 5 starts",
    rule="training loss falls with the epochs (rank correlation at most −0.9), the lowest validation loss "
    "lies within the first half of the epochs and the last one is more than 5 % higher; on test examples "
    "the last weights' loss is higher than the kept weights'",
)
def overfitting(setup: Setup) -> Evidence:
    """Train a large network on few examples, far beyond its best epoch."""
    population = preceptor.train_population(
        "mlp", "digits", seeds=setup.seeds(5, full=20), epochs=150, lr=3e-3, batch_size=32,
        settings={**_FEW, "model.hidden": [512]}, engine="batched",
    )  # fmt: skip
    train, val = _curves(population)
    kept, last = [], []
    for index, member in enumerate(population):
        run = population.run(index)
        kept.append(run.evaluate("test").loss)
        run.model.load_state_dict(member.last_weights or {})
        last.append(run.evaluate("test", again="the weights of the last epoch").loss)
    checks = {
        "validation-turns-up": [
            rising("training loss", np.arange(train.shape[1]), train, falling=True),
            near("epoch of the lowest validation loss, as a share", val.argmin(1) / val.shape[1], 0.25, 0.25),
            above("last validation loss over the lowest", val[:, -1] / val.min(1), 1.05),
        ],
        "early-stopping-restores-the-best": [more("test loss, last weights against kept", last, kept)],
    }
    figure = Figure(
        "A large network on 270 digits",
        "epoch",
        "loss",
        {"training": train.tolist(), "validation": val.tolist()},
        list(range(1, val.shape[1] + 1)),
        log="y",
    )
    return Evidence(checks, figure)


@lab(
    "generalization",
    {
        "under-training-is-not-underfitting": Claim(
            "A loss that still falls means that the training was too short, and more epochs lower it; a "
            "model that is too small ends flat, with training and validation error both high.",
            source=_GOODFELLOW,
            instead_of="Underfitting is a loss that is still decreasing.",
        )
    },
    data="300 points in the plane to learn from, inside or outside a circle, half of each: an MLP of 64 "
    "units, watched after 3 and after 100 epochs, and a linear model, for 100",
    rule="over 5 starts: in its last epoch the short training's loss falls by more than 2 %, and the longer "
    "one's validation loss is below half of it; within its last fifth the linear model's training loss "
    "falls by less than 2 %, and ends above 5 times the network's; its validation loss stays above 3 times "
    "the network's",
)
def underfitting(setup: Setup) -> Evidence:
    """Stop a large enough network too early, and train a linear model to its end."""
    points = np.random.default_rng(setup.seed).normal(size=(600, 2))
    data = points, (np.linalg.norm(points, axis=1) > np.sqrt(2 * np.log(2))).astype(int)
    (large, large_val), (small, small_val) = (
        _curves(
            preceptor.train_population(
                model, data, seeds=setup.seeds(5, full=20), epochs=100, lr=0.01, batch_size=32,
                settings={**_HALVES, **options}, engine="batched",
            )
        )
        for model, options in (("mlp", {"model.hidden": [64]}), ("softmax-regression", {}))
    )  # fmt: skip
    checks = [
        above("share by which the short training's loss falls at its end",
              1 - large[:, 2] / large[:, 1], 0.02),
        above("validation loss, short over long", large_val[:, 2] / large_val[:, -1], 2),
        more("share by which the linear model's loss falls at its end, 2 % against it",
             np.full(len(small), 0.02), 1 - small[:, -1] / small[:, -21]),
        above("training loss, linear over network", small[:, -1] / large[:, -1], 5),
        above("validation loss, linear over network", small_val[:, -1] / large_val[:, -1], 3),
    ]  # fmt: skip
    figure = Figure(
        "Inside or outside a circle",
        "epoch",
        "loss",
        {
            "network, training": large.tolist(),
            "network, validation": large_val.tolist(),
            "linear, training": small.tolist(),
            "linear, validation": small_val.tolist(),
        },
        list(range(1, 101)),
        log="xy",
    )
    return Evidence({"under-training-is-not-underfitting": checks}, figure)


def _curves(population: preceptor.Population) -> tuple[Any, Any]:
    """Return training and validation losses, (seeds, epochs)."""
    train, val = (np.array([m.history[:, key] for m in population]) for key in ("train_loss", "val_loss"))
    return train, val
