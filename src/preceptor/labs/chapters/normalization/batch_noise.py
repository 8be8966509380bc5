"""The noise that batch normalisation brings, and whether it regularises."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import preceptor
from preceptor.catalogue import get
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, slope, told

_SIZES = (8, 16, 32, 64, 128, 256)


class _Groups(nn.Module):
    """Batch normalisation over groups of a batch, in training: the noise of small batches in a large one."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.norm, self.size = get("batch-norm", features, kind="normalization"), size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.norm(x)  # type: ignore[no-any-return]  # a module gives Any
        order = torch.randperm(len(x))
        return torch.cat([self.norm(part) for part in x[order].split(self.size)])[order.argsort()]


def _net(seed: int, size: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), _Groups(128, size), nn.ReLU(), nn.Linear(128, 128),
        _Groups(128, size), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


@lab(
    "normalization",
    {
        "bn-noise-falls-with-the-batch": Claim(
            "In training an example's output depends on the others of its batch: with batch normalisation it "
            "varies, with a variance inversely proportional to the size of the batch.",
            source="Luo et al., Towards Understanding Regularization in Batch Normalization, 2019",
        ),
        "bn-noise-regularises": Claim(
            "That noise regularises: with statistics of small groups the gap between training and other "
            "examples is smaller than with those of the whole batch.",
            source="Hoffer, Hubara and Soudry, Train Longer, Generalize Better, 2017",
        ),
    },
    data="digits; one example's outputs in 100 random batches of 8 to 256, of an MLP 64-128-128-10 at its "
    "start; the MLP on 256 examples, 100 full-batch steps of Adam, normalised over all of them or over "
    "random groups of 16",
    rule="over 3 starts the variance falls as the power −1 ± 0.15 of the size; over 6 draws of examples "
    "validation loss less training loss is smaller with groups of 16",
)
def batch_noise(setup: Setup) -> Evidence:
    """Follow one example through many batches, and train with little and with much of that noise."""
    digits = load_digits()
    x, y = digits.images[:, None].astype(np.float32) / 16, digits.target
    variances = [
        [_variance(torch.tensor(x), size, seed) for size in _SIZES] for seed in setup.seeds(3, full=10)
    ]
    found: dict[int, list[tuple[float, float]]] = {256: [], 16: []}
    for seed in setup.seeds(6, full=20):
        order = np.random.default_rng(seed).permutation(len(x))
        seen, others = order[:256], order[256:856]
        for size, rows in found.items():
            run = preceptor.train(
                _net(seed, size), (x[seen], y[seen]), val=(x[others], y[others]), test=0.0, batch_size="full",
                epochs=setup.size(100, 500), lr=3e-3, seed=seed, out=False,
                settings={"training.watch": False, "data.audit": "none", "training.patience": None},
            )  # fmt: skip
            rows.append((run.history[-1, "val_loss"] - run.history[-1, "train_loss"],
                         run.history[-1, "val_accuracy"]))  # fmt: skip
    whole, groups = np.array(found[256]), np.array(found[16])
    checks = {
        "bn-noise-falls-with-the-batch": [
            slope("the variance of an example's outputs", _SIZES, variances, -1, within=0.15)
        ],
        "bn-noise-regularises": [
            more(
                "validation less training loss, whole batch against groups of 16", whole[:, 0], groups[:, 0]
            ),
            told("validation accuracy, whole batch", float(whole[:, 1].mean())),
            told("validation accuracy, groups of 16", float(groups[:, 1].mean())),
        ],
    }
    figure = Figure(
        "How much an example's output varies with its batch",
        "examples in the batch",
        "variance of the outputs",
        {"batch normalisation": variances},
        list(_SIZES),
        log="xy",
    )
    note = (
        "The noise is there; that it narrows the gap cannot be told here, where a network of this size on "
        "few digits differs more from draw to draw than by the groups."
    )
    return Evidence(checks, figure, note=note)


def _variance(x: Tensor, size: int, seed: int) -> float:
    """Return the variance of the first example's outputs over batches that it is in."""
    net, generator = _net(seed, 10**9), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        outputs = [
            net(torch.cat([x[:1], x[1 + torch.randperm(len(x) - 1, generator=generator)[: size - 1]]]))[0]
            for _ in range(100)
        ]
    return float(torch.stack(outputs).var(0).mean())
