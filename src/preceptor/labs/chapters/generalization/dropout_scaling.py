"""Dropout as an ensemble of thinned networks, and the one pass that stands for all of them."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from sklearn.datasets import load_wine
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, near, told

_GOODFELLOW = "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.12"
_P, _INPUTS = 0.2, 10


@lab(
    "generalization",
    {
        "weight-scaling-is-a-geometric-mean": Claim(
            "For softmax regression with dropout on its inputs, scaling by the share kept is exactly the "
            "geometric mean of all 2ⁿ thinned networks.",
            source=_GOODFELLOW,
        ),
        "weight-scaling-is-approximate": Claim(
            "With a hidden layer behind the dropout it is close to that mean, but not equal.",
            source=_GOODFELLOW,
            instead_of="Dropout averages exponentially many networks in one pass.",
        ),
    },
    data="wine, 10 of its features, dropout of 0.2 on the inputs; softmax regression and an MLP of 32 units, "
    "100 steps of Adam; all 1,024 masks",
    rule="probabilities differ by at most 1e-5 for softmax regression; for the MLP, over 4 starts, the mean "
    "distance (total variation) is above 1e-4 and below 0.02",
    quick=True,
)
def dropout_ensemble(setup: Setup) -> Evidence:
    """Go through all masks of a trained network, and compare their mean with the scaled network."""
    wine = load_wine()
    x = torch.tensor(wine.data[:, :_INPUTS], dtype=torch.float32)
    x = get("input-standardization", x)(x)
    y = torch.tensor(wine.target)
    linear, deep = [], []
    for seed in setup.seeds(4, full=20):
        torch.manual_seed(seed)
        flat = _fitted(nn.Sequential(nn.Dropout(_P), nn.Linear(_INPUTS, 3)), x, y)
        net = _fitted(
            nn.Sequential(nn.Dropout(_P), nn.Linear(_INPUTS, 32), nn.ReLU(), nn.Linear(32, 3)), x, y
        )
        with torch.no_grad():
            # In training what is kept is divided by 1 − p: the thinned networks take x / (1 − p).
            mean = get("dropout-ensemble", flat[1], x / (1 - _P), p=_P)
            linear.append(float((mean - flat(x).softmax(1)).abs().max()))
            deep.append(_variation(_geometric(net[1:], x / (1 - _P)), net(x).softmax(1)))
    checks = {
        "weight-scaling-is-a-geometric-mean": [exact("softmax regression, probabilities", max(linear), 1e-5)],
        "weight-scaling-is-approximate": [
            above("MLP, distance of the probabilities", deep, 1e-4),
            more("MLP, 0.02 against the distance", np.full(len(deep), 0.02), deep),
        ],
    }
    return Evidence(
        checks, table=[{"softmax regression": a, "MLP": b} for a, b in zip(linear, deep, strict=True)]
    )


def _fitted(net: nn.Sequential, x: Tensor, y: Tensor) -> nn.Sequential:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval()


def _geometric(rest: nn.Module, x: Tensor) -> Tensor:
    """Return the geometric mean of the predictions under all masks, renormalised."""
    masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=_INPUTS)))
    kept = masks.sum(1)
    chance = (1 - _P) ** kept * _P ** (_INPUTS - kept)
    logs = rest(masks[:, None] * x[None]).log_softmax(2)
    mean: Tensor = torch.tensordot(chance, logs, dims=1).softmax(1)
    return mean


def _variation(p: Tensor, q: Tensor) -> float:
    return float((p - q).abs().sum(1).mean() / 2)


@lab(
    "generalization",
    {
        "dropout-scale": Claim(
            "Where dropout does not rescale in training, test outputs are multiplied by the share kept, "
            "1 − p; by p, or by ½, the loss is higher, unless p = ½.",
            source="Srivastava et al., Dropout, 2014, section 10",
            instead_of="At test multiply by the dropout probability p, or divide the weights by 2.",
        )
    },
    data="digits, an MLP 64-256-256-10 with dropout of 0.2 that does not rescale, 15 epochs; hidden outputs "
    "multiplied by 0.8, 0.5 and 0.2 at test",
    rule="a unit that is always 1 has a mean of 0.8 ± 0.01 in training; over 4 starts the validation loss is "
    "lower with 0.8 than with 0.5 and with 0.2",
)
def dropout_scale(setup: Setup) -> Evidence:
    """Train with classic dropout, and scale by the right and by the wrong factor."""
    layer = get("classic-dropout", p=_P).train()
    with torch.no_grad():
        mean = float(layer(torch.ones(100_000)).mean())
    found: dict[float, list[tuple[float, float]]] = {0.8: [], 0.5: [], 0.2: []}
    for seed in setup.seeds(4, full=20):
        torch.manual_seed(seed)
        dropped = [get("classic-dropout", p=_P) for _ in range(2)]
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), dropped[0],
            nn.Linear(256, 256), nn.ReLU(), dropped[1], nn.Linear(256, 10),
        )  # fmt: skip
        run = preceptor.train(
            net,
            "digits",
            epochs=15,
            lr=1e-3,
            seed=seed,
            out=False,
            settings={"training.watch": False, "data.audit": "none", "training.patience": None},
        )
        for factor, rows in found.items():
            for module in dropped:
                module.p = 1 - factor
            judged = run.evaluate("val")
            rows.append((judged.loss, judged.metrics["accuracy"]))
    by = {factor: np.array(rows) for factor, rows in found.items()}
    checks = [
        near("mean of a unit that is always 1, in training", [mean], 1 - _P, within=0.01),
        more("validation loss, × 0.5 against × 0.8", by[0.5][:, 0], by[0.8][:, 0]),
        more("validation loss, × 0.2 against × 0.8", by[0.2][:, 0], by[0.8][:, 0]),
        *(told(f"accuracy, × {factor}", float(rows[:, 1].mean())) for factor, rows in by.items()),
    ]
    figure = Figure(
        "What the hidden outputs are multiplied by at test, dropout of 0.2",
        "factor",
        "validation loss",
        {"loss": np.stack([rows[:, 0] for rows in by.values()], 1).tolist()},
        [f"× {factor}" for factor in found],
        kind="bars",
    )
    note = "Accuracy hardly notices: outputs that are all too small leave the largest one the largest."
    return Evidence({"dropout-scale": checks}, figure, note=note)
