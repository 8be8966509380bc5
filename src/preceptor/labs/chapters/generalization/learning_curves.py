"""Training and test error over the number of examples, and over the number of parameters."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, near, rising

_SIZES = (15, 20, 30, 50, 80, 120, 200, 300)
_DEGREES = tuple(range(1, 13))
_BISHOP = "Bishop, Pattern Recognition and Machine Learning, 2006, section 1.1"


@lab(
    "generalization",
    {
        "more-examples": Claim(
            "With more examples the test error of a model falls, and its training error rises.",
            source="Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, section 7.8",
            instead_of="More examples lower the error.",
        )
    },
    data="diabetes, standardised; least squares on 15 to 300 patients, test on 142 others",
    rule="over 20 draws, in logarithms: test error falls with the number of examples (rank correlation of "
    "the mean at most −0.9), training error rises (at least 0.9), and the test error at 300 is lower than at "
    "20 while the training error is higher",
    quick=True,
)
def more_examples(setup: Setup) -> Evidence:
    """Fit a linear model to more and more examples."""
    bunch = load_diabetes()
    x = torch.tensor(bunch.data * len(bunch.data) ** 0.5)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    y = torch.tensor((bunch.target - bunch.target.mean()) / bunch.target.std())
    rows = []
    for seed in setup.seeds(20, full=200):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        others = order[300:]
        fitted = [get("least-squares", x[order[:n]], y[order[:n]], kind="solver").x for n in _SIZES]
        training = [_error(x[order[:n]], y[order[:n]], w) for n, w in zip(_SIZES, fitted, strict=True)]
        rows.append([training, [_error(x[others], y[others], w) for w in fitted]])
    train, test = np.log(np.array(rows)).transpose(1, 0, 2)
    checks = [
        rising("test error", _SIZES, test.mean(0), falling=True),
        rising("training error", _SIZES, train.mean(0)),
        more("log test error, 20 against 300 examples", test[:, 1], test[:, -1]),
        more("log training error, 300 against 20 examples", train[:, -1], train[:, 1]),
    ]
    figure = Figure(
        "Errors over the number of examples, 11 weights",
        "examples",
        "mean square, geometric mean",
        {"training": np.exp(train.mean(0)).tolist(), "test": np.exp(test.mean(0)).tolist()},
        list(_SIZES),
        log="xy",
    )
    return Evidence({"more-examples": checks}, figure)


@lab(
    "generalization",
    {
        "more-parameters": Claim(
            "With more parameters, up to as many as the data determine, training error falls, and test "
            "error falls and rises: a U.",
            source=_BISHOP,
            instead_of="Test error over parameters is a U, whatever their number.",
        )
    },
    data="20 points of sin(3x) on −1 … 1 with noise of 0.2, polynomials of degree 1 to 12, test on the curve",
    rule="over 20 draws, medians: training error falls with the degree (rank correlation at most −0.9), the "
    "lowest test error lies at a degree between 2 and 8, and both ends are more than twice as high "
    "(intervals of the mean difference of logarithms above log 2)",
    quick=True,
)
def more_parameters(setup: Setup) -> Evidence:
    """Fit polynomials of growing degree."""
    rows = []
    places = torch.linspace(-1, 1, 201, dtype=torch.float64)
    for seed in setup.seeds(20, full=200):
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(20, generator=generator, dtype=torch.float64) * 2 - 1
        y = torch.sin(3 * x) + 0.2 * torch.randn(20, generator=generator, dtype=torch.float64)
        row = []
        for degree in _DEGREES:
            powers = get("polynomial-features", degree=degree)
            weights = get("least-squares", powers(x), y, kind="solver").x
            row.append(
                [_error(powers(x), y, weights), _error(powers(places), torch.sin(3 * places), weights)]
            )
        rows.append(row)
    train, test = np.log(np.array(rows)).transpose(2, 0, 1)
    best = int(np.median(test, 0).argmin())
    checks = [
        rising("training error", _DEGREES, np.median(train, 0), falling=True),
        more("log test error, degree 1 against the best", test[:, 0], test[:, best], by=float(np.log(2))),
        more("log test error, degree 12 against the best", test[:, -1], test[:, best], by=float(np.log(2))),
        near("best degree", [_DEGREES[best]], 5, within=3),
    ]
    figure = Figure(
        "Errors over the degree of a polynomial, 20 points",
        "degree",
        "mean square, median",
        {"training": np.exp(np.median(train, 0)).tolist(), "test": np.exp(np.median(test, 0)).tolist()},
        list(_DEGREES),
        log="y",
    )
    note = "Far beyond as many parameters as examples the error falls again: see double-descent."
    return Evidence({"more-parameters": checks}, figure, note=note)


def _error(x: Tensor, y: Tensor, w: Tensor) -> float:
    return float((x @ w - y).square().mean())
