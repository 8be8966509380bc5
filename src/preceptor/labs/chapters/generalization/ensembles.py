"""What an ensemble of networks brings, by how its members differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, above, exact, lab, more, told
from preceptor.labs.chapters.generalization._parts import tested_on

_DIVERSE: list[dict[str, Any]] = [
    {"hidden": [32]},
    {"hidden": [128], "activation": "tanh"},
    {"hidden": [64, 64]},
    {"hidden": [64], "lr": 0.01},
    {"hidden": [32, 32], "activation": "tanh"},
]
_FEW = {"data.val": 0.1, "data.test": 0.73, "training.patience": "none"}


@lab(
    "generalization",
    {
        "bagging-gains": Claim(
            "The mean of five networks that learned from bags is right more often than they are on average.",
            source="Breiman, Bagging Predictors, 1996",
            instead_of="An ensemble of bags is better than a network that learned from all examples.",
        ),
        "alike-members-gain-little": Claim(
            "Networks that differ in their start alone gain little: less than two percent of accuracy.",
            source="Fort, Hu and Lakshminarayanan, Deep Ensembles: A Loss Landscape Perspective, 2019",
            instead_of="An ensemble gives a few percent.",
        ),
        "the-gain-is-disagreement": Claim(
            "What an ensemble gains in squared error is how much its members disagree, to the last digit; "
            "members of different bags and architectures disagree more than members of different starts.",
            source="Krogh and Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning, "
            "1995",
        ),
    },
    data="about 300 digits to learn from, 1,312 to test on; five MLPs that differ in their start, in start "
    "and bag of examples, or in start and architecture, 30 epochs of Adam",
    rule="over 5 splits of the data: the gain in accuracy over the mean member is above 0 with different "
    "bags, and below 0.02 with different starts; Brier score of the ensemble = members' − ambiguity to 1e-6, "
    "and members of bags and of other architectures have a larger ambiguity than those of other starts",
)
def ensembles(setup: Setup) -> Evidence:
    """Train five members in three ways, and compare the mean with its members."""
    found: dict[str, list[tuple[float, ...]]] = {"start": [], "bag": [], "architecture": []}
    for seed in setup.seeds(5, full=20):
        starts: list[dict[str, Any]] = [{"seed": (seed + i) % 2**31} for i in range(5)]
        kinds = {
            "start": starts,
            "bag": [{**start, "data.bag": start["seed"]} for start in starts],
            "architecture": [{**start, **own} for start, own in zip(starts, _DIVERSE, strict=True)],
        }
        population = preceptor.train_population(
            "mlp", "digits", members=[change for kind in kinds.values() for change in kind],
            epochs=30, lr=3e-3, batch_size=32, settings={**_FEW, "data.seed": seed}, engine="batched",
        )  # fmt: skip
        runs = population.runs
        x, y = tested_on(runs[0])
        for i, rows in enumerate(found.values()):
            members = [run.model for run in runs[5 * i : 5 * i + 5]]
            rows.append(_judged(members, x, y))
    by = {name: np.array(rows) for name, rows in found.items()}
    gain = {name: rows[:, 1] - rows[:, 0] for name, rows in by.items()}
    ambiguity = {name: rows[:, 2] for name, rows in by.items()}
    checks = {
        "bagging-gains": [
            above("gain in accuracy, other bags", gain["bag"]),
            told("accuracy of the ensemble of bags", float(by["bag"][:, 1].mean())),
            told("accuracy of one network on all examples", float(by["start"][:, 0].mean())),
        ],
        "alike-members-gain-little": [
            more("0.02 against the gain of other starts", np.full(len(gain["start"]), 0.02), gain["start"]),
            told("gain of other architectures", float(gain["architecture"].mean())),
        ],
        "the-gain-is-disagreement": [
            exact("Brier score of the ensemble", max(float(rows[:, 3].max()) for rows in by.values()), 1e-6),
            *(
                more(f"ambiguity, other {name}s against other starts", ambiguity[name], ambiguity["start"])
                for name in ("bag", "architecture")
            ),
        ],
    }
    figure = Figure(
        "Five networks on 300 digits",
        "members differ in",
        "test accuracy",
        {
            "mean member": np.stack([rows[:, 0] for rows in by.values()], 1).tolist(),
            "ensemble": np.stack([rows[:, 1] for rows in by.values()], 1).tolist(),
        },
        list(by),
        kind="points",
    )
    return Evidence(checks, figure)


def _judged(members: list[nn.Module], x: Tensor, y: Tensor) -> tuple[float, ...]:
    """Return members' mean accuracy, the ensemble's, the ambiguity, and by how much its identity fails."""
    together = get("model-averaging", members).eval()
    with torch.no_grad():
        each = torch.stack([member.eval()(x) for member in members]).softmax(2).double()
        mean = together(x)
    target = nn.functional.one_hot(y, each.shape[2]).double()
    split = get("ambiguity-decomposition", each, target)
    brier = nn.functional.mse_loss(mean.softmax(1).double(), target)
    return (
        float((each.argmax(2) == y).double().mean()),
        float((mean.argmax(1) == y).double().mean()),
        split.ambiguity,
        abs(float(brier) - (split.members - split.ambiguity)),
    )
