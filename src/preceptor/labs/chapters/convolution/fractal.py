"""FractalNet: deep without shortcuts, and each of its columns a network of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import mean
from typing import Any

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more
from preceptor.labs.chapters.convolution._examples import examples

_LARSSON = "Larsson, Maire and Shakhnarovich, FractalNet: Ultra-Deep Neural Networks without Residuals, 2017"


@lab(
    "convolution",
    {
        "fractal-trains": Claim("FractalNet trains without residual connections.", source=_LARSSON),
        "fractal-columns": Claim(
            "Trained with drop-path, its deepest column alone is about as good as the whole, and the "
            "shallower "
            "ones can be used by themselves.",
            source=_LARSSON,
            reference="CIFAR-100, 20 layers deep: deepest column 29.05 % error, whole 28.20 % (augmented)",
        ),
    },
    data="digits of 8×8; a FractalNet of two blocks and three columns, 8 layers at its deepest",
    rule="over seeds, the whole network's accuracy on validation images is above 0.9, the deepest column's "
    "at "
    "most 0.05 below, and that of each shallower one above 0.7",
)
def fractal_columns(setup: Setup) -> Evidence:
    """Train a small FractalNet, and let its columns classify alone."""
    found = preceptor.train_population(
        lambda: get("fractalnet", (1, 8, 8), 10, channels=(8, 16)), "digits", seeds=setup.seeds(6, 10),
        epochs=setup.size(12, 40), batch_size=64, lr=3e-3, engine="sequential",
        settings={"training.train_examples": 300, "training.patience": None},
    )  # fmt: skip
    rows = [_accuracies(run) for run in found.runs]
    by_name = {name: [row[name] for row in rows] for name in rows[0]}
    deepest = by_name["column 3"]
    checks = {
        "fractal-trains": [above("accuracy of the whole", by_name["whole"], 0.9)],
        "fractal-columns": [
            more(
                "accuracy, deepest column against the whole less 0.05",
                deepest,
                [w - 0.05 for w in by_name["whole"]],
            ),
            above("accuracy, column 1", by_name["column 1"], 0.7),
            above("accuracy, column 2", by_name["column 2"], 0.7),
        ],
    }
    names = list(by_name)
    bars = {"accuracy": [[row[name] for name in names] for row in rows]}
    figure = Figure(
        "Columns alone, and the whole", "what classifies", "validation accuracy", bars, names, "bars"
    )
    table = [{"what classifies": name, "accuracy": mean(by_name[name])} for name in names]
    return Evidence(checks, figure, table)


def _accuracies(run: preceptor.Run) -> dict[str, float]:
    """Return the accuracy of the whole and of each column, each with the statistics of its own batches."""
    blocks = run.model.get_submodule("block1").get_submodule("columns")
    model: Any = run.model
    x, y = examples(run)
    batches = list(examples(run, "train")[0].split(128))
    parts: dict[str, Callable[[], Any]] = {"whole": lambda: model}
    for c in range(len(list(blocks.children()))):
        parts[f"column {c + 1}"] = partial(model.column, c)
    found = {}
    for name, make in parts.items():
        column = get("population-statistics", make(), batches)
        guess = column.eval()(x).argmax(1)
        found[name] = float((guess == y).float().mean())
    return found
