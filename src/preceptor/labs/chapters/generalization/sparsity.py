"""What an L1 penalty does that an L2 penalty does not, and what each does with copies of a feature."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, near

_TIBSHIRANI = "Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996"


def _descend(x: Tensor, y: Tensor, penalty: str, strength: float, start: Tensor, lr: float = 0.3) -> Tensor:
    """Minimise ½ mean (x w − y)² and a penalty of the catalogue by full-batch gradient descent."""
    layer = nn.Linear(x.shape[1], 1, bias=False, dtype=x.dtype)
    layer.weight.data.copy_(start)
    options = {"method": "proximal"} if penalty == "l1" else {}
    regularizer = get(penalty, kind="regularizer", strength=strength, **options).attach(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    for _ in range(150):
        optimizer.zero_grad()
        loss = 0.5 * (layer(x)[:, 0] - y).square().mean() + regularizer.penalty()
        loss.backward()
        optimizer.step()
        if penalty == "l1":
            regularizer.after_step(lr)
    return layer.weight.detach()[0]


@lab(
    "generalization",
    {
        "l1-is-sparse": Claim(
            "An L1 penalty makes weights exactly zero, an L2 penalty makes them small but not zero.",
            source=_TIBSHIRANI,
        )
    },
    data="100 examples with 50 independent features, 5 of which count, noise of 0.5; both penalties at 0.1",
    rule="over 5 draws of the data, L1 leaves at least 30 of the 45 idle weights exactly zero (the interval "
    "of the mean is above 30) and all 5 that count, L2 leaves none zero",
    quick=True,
)
def sparsity(setup: Setup) -> Evidence:
    """Count the weights that are exactly zero under both penalties."""
    found: dict[str, list[Tensor]] = {"l1": [], "l2": []}
    for seed in setup.seeds(5, full=30):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(100, 50, generator=generator)
        weights = torch.cat([torch.tensor([2.0, -2.0, 1.5, -1.5, 1.0]), torch.zeros(45)])
        y = x @ weights + 0.5 * torch.randn(100, generator=generator)
        for penalty, runs in found.items():
            runs.append(_descend(x, y, penalty, 0.1, torch.zeros(1, 50)))
    idle = {penalty: [int((w[5:] == 0).sum()) for w in runs] for penalty, runs in found.items()}
    missed = sum(int((w[:5] == 0).sum()) for w in found["l1"])
    checks = [
        above("idle weights that L1 makes exactly zero", idle["l1"], 30),
        exact("weights that L2 makes exactly zero", sum(idle["l2"])),
        exact("weights that count and that L1 makes zero", missed),
    ]
    figure = Figure(
        "Weights under both penalties, sorted by size",
        "rank",
        "|weight|",
        {name.upper(): runs[0].abs().sort(descending=True).values.tolist() for name, runs in found.items()},
        list(range(1, 51)),
    )
    return Evidence({"l1-is-sparse": checks}, figure)


@lab(
    "generalization",
    {
        "l2-shares-among-copies": Claim(
            "L2 shares weight evenly among copies of a feature; weights of independent features stay as "
            "different as they were.",
            source="Zou and Hastie, Regularization and Variable Selection via the Elastic Net, 2005",
            instead_of="L2 makes the weights similar to one another.",
        ),
        "l1-is-not-unique": Claim(
            "Among copies of a feature an L1 penalty does not choose: every split costs the same, and the "
            "start decides.",
            source=_TIBSHIRANI,
        ),
    },
    data="100 examples; y = 2 a + 0.5 b, with a given twice as a feature and b independent of it",
    rule="L2: both copies have the same weight to 1e-6, and the ratio of two orthogonal features' weights is "
    "what it is without penalty, to 1e-6; L1: splits 100:0, 50:50 and 25:75 have the same objective to "
    "1e-12, and two starts that are 1 apart end 1 ± 0.01 apart",
    quick=True,
)
def copied_feature(setup: Setup) -> Evidence:
    """Give a feature twice, and see how each penalty shares out its weight."""
    generator = torch.Generator().manual_seed(setup.seed)
    drawn = torch.randn(100, 2, generator=generator, dtype=torch.float64)
    a, b = (torch.linalg.qr(drawn).Q * 10).T  # orthogonal, of variance 1
    y = 2 * a + 0.5 * b
    copied, plain = torch.stack([a, a, b], 1), torch.stack([a, b], 1)
    starts = [torch.tensor([[s, 1 - s, 0.0]], dtype=torch.float64) for s in (0.0, 1.0)]
    ridge = get("ridge-regression", copied, y, weight_decay=10.0).x
    alone = get("ridge-regression", plain, y, weight_decay=10.0).x
    lasso = [_descend(copied, y, "l1", 0.1, start) for start in starts]
    total = float(lasso[0][:2].sum())
    costs = [
        _objective(copied, y, torch.tensor([share * total, (1 - share) * total, float(lasso[0][2])]).double())
        for share in (1.0, 0.5, 0.25)
    ]
    checks = {
        "l2-shares-among-copies": [
            exact("the copies' weights against each other", float((ridge[0] - ridge[1]).abs()), 1e-6),
            exact("ratio of independent weights, 4 before", abs(float(alone[0] / alone[1]) - 4), 1e-6),
        ],
        "l1-is-not-unique": [
            exact("objective of three splits", max(costs) - min(costs), 1e-12),
            near(
                "first copy's weight, between two starts",
                [float(lasso[1][0] - lasso[0][0])],
                1.0,
                within=0.01,
            ),
        ],
    }
    return Evidence(checks, table=_rows(ridge, alone, lasso))


def _objective(x: Tensor, y: Tensor, w: Tensor) -> float:
    return float(0.5 * (x @ w - y).square().mean() + 0.1 * w.abs().sum())


def _rows(ridge: Tensor, alone: Tensor, lasso: list[Tensor]) -> list[dict[str, str | float]]:
    named = {"L2": ridge, "L1 from (0, 1)": lasso[0], "L1 from (1, 0)": lasso[1]}
    rows: list[dict[str, str | float]] = [
        {"penalty": name, "first copy": float(w[0]), "second copy": float(w[1]), "other": float(w[2])}
        for name, w in named.items()
    ]
    return [*rows, {"penalty": "L2, no copy", "first copy": float(alone[0]), "other": float(alone[1])}]
