"""Inputs in use that are not as those in training: moved, or missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.data import load
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, more
from preceptor.run import train


@lab(
    "systems",
    {
        "covariate-shift": Claim(
            "A network loses much of its accuracy on inputs that are distributed otherwise, although what "
            "they mean has not changed; a comparison of the inputs alone sees it.",
            source="Shimodaira, Improving Predictive Inference under Covariate Shift, 2000; Rabanser, "
            "Günnemann and Lipton, Failing Loudly, 2019",
        ),
    },
    data="digits, an mlp, trained on images as they are and tested on them moved by one pixel and scaled by "
    "half",
    rule="over five seeds the accuracy on test images falls by more than 0.2 where they are moved by a "
    "pixel; the inspection of covariate shift fires for every moved and scaled set, and for none that is as "
    "in training",
)
def moved_digits(setup: Setup) -> Evidence:
    """Train on digits, and test on digits that were moved or scaled."""
    ways = {"as in training": _same, "moved": _moved, "scaled": _scaled}
    scores: dict[str, list[float]] = {name: [] for name in ways}
    fired: dict[str, int] = dict.fromkeys(ways, 0)
    seeds = setup.seeds(5, 10)
    for seed in seeds:
        run = train(
            "mlp",
            "digits",
            epochs=15,
            seed=seed,
            out=False,
            settings={"training.watch": False, "data.seed": seed},
        )
        seen, new = (part for part in (run.part("train"), run.part("test")) if part is not None)
        for name, way in ways.items():
            x = way(torch.as_tensor(new.x))
            with torch.no_grad():
                scores[name].append(float((run.model(x).argmax(1) == new.y).float().mean()))
            fired[name] += bool(
                get("covariate-shift", torch.as_tensor(seen.x).flatten(1), x.flatten(1))["shifted"]
            )
    checks = [
        more(
            "accuracy, as in training and moved by a pixel", scores["as in training"], scores["moved"], by=0.2
        ),
        exact("sets as in training that are said to be shifted", fired["as in training"]),
        exact("moved sets that are not seen", len(seeds) - fired["moved"]),
        exact("scaled sets that are not seen", len(seeds) - fired["scaled"]),
    ]
    figure = Figure(
        "Accuracy on other inputs",
        "",
        "test accuracy",
        {"mlp": np.array(list(scores.values())).T.tolist()},
        list(scores),
        kind="bars",
    )
    return Evidence({"covariate-shift": checks}, figure)


def _same(x: Tensor) -> Tensor:
    return x


def _moved(x: Tensor) -> Tensor:
    """Move images one pixel to the right; what comes in is what the edge had."""
    moved = x.roll(1, -1)
    moved[..., 0] = x[..., 0]
    return moved


def _scaled(x: Tensor) -> Tensor:
    return 0.5 * x


@lab(
    "systems",
    {
        "missing-inputs": Claim(
            "Where any input may be missing one function is not enough: a network that is told which are "
            "missing learns one for each pattern, and errs less than with the mean in their place.",
            source="Goodfellow, Bengio and Courville, Deep Learning, 2016, section 5.1.1",
        ),
        "gaps-and-few-examples": Claim(
            "So many functions have to be learned: with 400 examples, and gaps at random, a network that is "
            "told of the gaps is no better than one with the mean in their place.",
            source="Le Morvan et al., What's a Good Imputation to Predict with Missing Values?, 2021",
            instead_of="A network that is told which inputs are missing is at least as good as one with "
            "means there.",
        ),
    },
    data="three Gaussian inputs with correlations of 0.8 and their sum to predict, half of them missing at "
    "random; and breast-cancer with half of all inputs missing, classes by an mlp; test inputs have gaps "
    "alike",
    rule="Gaussian: the error of the best linear function of inputs with means in their gaps exceeds that "
    "of the best set of functions by more than a tenth, over ten draws; breast-cancer: over fifteen seeds "
    "the error rate with means is not higher than that of the network that is told by more than 0.01",
)
def gaps_in_the_inputs(setup: Setup) -> Evidence:
    """Predict from inputs with gaps, with the mean in their place or told of them."""
    pairs = [_gaussian(seed) for seed in setup.seeds(10, 50)]
    errors = [_with_gaps(seed) for seed in setup.seeds(15, 30)]
    checks = {
        "missing-inputs": [
            more(
                "squared error with means, and 1.1 times that of a function for each pattern",
                [a for a, _ in pairs],
                [1.1 * b for _, b in pairs],
            )
        ],
        "gaps-and-few-examples": [
            more(
                "error rate, told of the gaps and with means",
                [b for _, b in errors],
                [a for a, _ in errors],
                by=-0.01,
            )
        ],
    }
    figure = Figure(
        "Errors with half of the inputs missing",
        "",
        "error",
        {
            "mean in the gaps": [[a, c] for (a, _), (c, _) in zip(pairs, errors, strict=False)],
            "told of the gaps": [[b, d] for (_, b), (_, d) in zip(pairs, errors, strict=False)],
        },
        ["Gaussian (mean squared)", "breast-cancer (rate)"],
        kind="bars",
    )
    return Evidence(checks, figure)


def _gaussian(seed: int) -> tuple[float, float]:
    """Return the squared errors of one linear function of zero-filled inputs, and of one for each pattern."""
    draw = np.random.default_rng(seed)
    covariance = 0.8 + 0.2 * np.eye(3)
    x, new = (draw.multivariate_normal(np.zeros(3), covariance, size=4000) for _ in range(2))
    known, seen = draw.random((4000, 3)) < 0.5, draw.random((4000, 3)) < 0.5
    y, truth = x.sum(1), new.sum(1)
    one = np.linalg.lstsq(x * known, y, rcond=None)[0]
    error, several = float(((new * seen @ one - truth) ** 2).mean()), np.zeros(4000)
    for pattern in np.unique(seen, axis=0):
        rows, here = (known == pattern).all(1), (seen == pattern).all(1)
        own = np.linalg.lstsq(x[rows] * pattern, y[rows], rcond=None)[0]
        several[here] = new[here] * pattern @ own
    return error, float(((several - truth) ** 2).mean())


def _with_gaps(seed: int) -> tuple[float, float]:
    """Return the error rates with the mean, 0, in the gaps, and with a mask beside it."""
    data: Any = load("breast-cancer")
    torch.manual_seed(seed)
    x = torch.tensor(np.asarray(data.inputs)).float()
    y = torch.from_numpy(np.unique(data.targets, return_inverse=True)[1]).long()
    order = torch.randperm(len(x))
    train_rows, test_rows = order[:400], order[400:]
    x = (x - x[train_rows].mean(0)) / x[train_rows].std(0)
    holes = torch.rand_like(x) < 0.5
    mark = get("missing-inputs", share=0.0, kind="augmentation").eval()
    marked = mark(x.masked_fill(holes, torch.nan))
    found = []
    for inputs in (marked[:, : x.shape[1]], marked):
        torch.manual_seed(seed)
        net = get("mlp", (inputs.shape[1],), 2, kind="architecture", hidden=[32])
        optimizer = get("adamw", net.parameters(), kind="optimizer", lr=3e-3, weight_decay=0.1)
        for _ in range(150):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs[train_rows]), y[train_rows]).backward()
            optimizer.step()
        with torch.no_grad():
            found.append(float((net(inputs[test_rows]).argmax(1) != y[test_rows]).float().mean()))
    return found[0], found[1]
