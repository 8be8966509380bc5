"""Test error over the number of features, past the point where every example is fitted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, exact, lab, more, rising

_N, _D, _NOISE, _RIDGE, _SMALL = 100, 20, 0.5, 0.1, 0.05
_WIDTHS = (10, 20, 50, 90, 100, 110, 200, 400, 1600)
_PEAK, _BEFORE, _AFTER = (_WIDTHS.index(p) for p in (100, 50, 1600))
_BELKIN = "Belkin, Hsu, Ma and Mandal, Reconciling Modern Machine-Learning Practice, 2019"


@lab(
    "generalization",
    {
        "double-descent": Claim(
            "Past the number of features at which all examples are fitted, test error falls a second time, "
            "below its first minimum.",
            source=_BELKIN,
            instead_of="The more parameters beyond what the data determine, the worse the test error.",
        ),
        "ridge-removes-the-peak": Claim(
            "A small ridge penalty removes the peak between the two descents.",
            source="Nakkiran et al., Optimal Regularization Can Mitigate Double Descent, 2021",
        ),
        "smallest-singular-value": Claim(
            "The smallest singular value of the features collapses where there are as many features as "
            "examples, and grows again beyond; directions of such values make the peak. How far features can "
            "be compressed it does not tell.",
            source="Advani and Saxe, High-dimensional Dynamics of Generalization Error, 2017",
            instead_of="The minimum singular value says how far the features can be compressed.",
        ),
    },
    data="random ReLU features (of norm about 1/√2) of 100 examples with 20 Gaussian inputs, a linear "
    "target of variance 1 and noise of 0.5; the solution of least norm, and ridge 0.1; test error against "
    "the target without noise",
    rule="over 10 draws, in logarithms: the error at 100 features is more than 5 times that at 50 and at "
    "1,600, that at 1,600 is below the lowest up to 50, and training error is 0 from 100 on; with ridge "
    "the error at 100 is less than 1.5 times that at 50, and lower at 1,600 than at 50; the smallest "
    "singular value at 100 is below a fifth of that at 50 and at 1,600, without the directions of values "
    "below 0.05 the error at 100 is less than a fifth, and the number of directions that hold 99 % of the "
    "energy rises with the features throughout (rank correlation at least 0.99)",
)
def double_descent(setup: Setup) -> Evidence:
    """Fit random features of growing number, with and without a penalty."""
    runs = [_sweep(seed) for seed in setup.seeds(10, full=50)]
    plain, ridge, cut, smallest, rank, training = (np.stack([run[i] for run in runs]) for i in range(6))
    log, log_ridge, log_smallest = np.log(plain), np.log(ridge), np.log(smallest)
    five = float(np.log(5))
    checks = {
        "double-descent": [
            more("log test error, 100 against 50", log[:, _PEAK], log[:, _BEFORE], by=five),
            more("log test error, 100 against 1,600", log[:, _PEAK], log[:, _AFTER], by=five),
            more("log test error, best up to 50 against 1,600", log[:, : _BEFORE + 1].min(1), log[:, _AFTER]),
            exact("training error from 100 on", float(training[:, _PEAK:].max()), 1e-6),
        ],
        "ridge-removes-the-peak": [
            more("log test error with ridge, 1.5 × that at 50 against 100",
                 log_ridge[:, _BEFORE] + np.log(1.5), log_ridge[:, _PEAK]),
            more("log test error with ridge, 50 against 1,600", log_ridge[:, _BEFORE], log_ridge[:, _AFTER]),
        ],
        "smallest-singular-value": [
            more("log σ_min, 50 against 100", log_smallest[:, _BEFORE], log_smallest[:, _PEAK], by=five),
            more("log σ_min, 1,600 against 100", log_smallest[:, _AFTER], log_smallest[:, _PEAK], by=five),
            more("log test error at 100, all directions against those above 0.05", log[:, _PEAK],
                 np.log(cut[:, _PEAK]), by=five),
            rising("rank for 99 % of the energy with the features", _WIDTHS, rank, least=0.99),
        ],
    }  # fmt: skip
    figure = Figure(
        "Test error over the number of features, 100 examples",
        "features",
        "mean square on test examples; σ_min",
        {
            "least norm": np.median(plain, 0).tolist(),
            "ridge 0.1": np.median(ridge, 0).tolist(),
            "σ_min": np.median(smallest, 0).tolist(),
        },
        list(_WIDTHS),
        log="xy",
        levels={"noise": _NOISE**2},
    )
    return Evidence(checks, figure, table=_table(plain, ridge, cut, smallest, rank, training))


def _sweep(seed: int) -> Tensor:
    """Return test errors, smallest singular value, rank for 99 % of the energy, training error, by width."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    direction = draw(_D)
    direction /= direction.norm()
    x, fresh = draw(_N, _D), draw(1000, _D)
    y = x @ direction + _NOISE * draw(_N)
    rows = []
    for width in _WIDTHS:
        weights = draw(_D, width) / _D**0.5
        features, test = ((z @ weights).relu() / width**0.5 for z in (x, fresh))
        plain = get("minimum-norm", features, y).x
        ridge = get("ridge-regression", features, y, weight_decay=_RIDGE).x
        cut = torch.linalg.pinv(features, atol=_SMALL, rtol=0.0) @ y
        values = get("singular-values", features)
        rows.append([
            *(float((test @ w - fresh @ direction).square().mean()) for w in (plain, ridge, cut)),
            values["min"], values["rank_99"], float((features @ plain - y).square().mean()),
        ])  # fmt: skip
    return torch.tensor(rows, dtype=torch.float64).T


def _table(*columns: np.ndarray) -> list[dict[str, float]]:
    names = ("test", "test with ridge", "test without small values", "σ_min", "rank for 99 %", "training")
    return [
        {"features": width, **{n: float(np.median(c[:, i])) for n, c in zip(names, columns, strict=True)}}
        for i, width in enumerate(_WIDTHS)
    ]
