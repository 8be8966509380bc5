"""How linear a network is at its start, and how little later."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

import preceptor
from preceptor.data import load, prepare
from preceptor.labs import Claim, Evidence, Figure, Setup, above, lab, more, rising
from preceptor.training.state import State

_SCALES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
_BISHOP = "Bishop, Pattern Recognition and Machine Learning, 2006, section 5.5.2"


class _Linearity(preceptor.Callback):
    """Notes how much of the outputs' variance the best linear function of the inputs explains."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.seen = x, list[float]()

    def on_train_begin(self, state: State) -> None:
        self.on_epoch_end(state)

    def on_epoch_end(self, state: State) -> None:
        self.seen.append(_linearity(state.problem.model, self.x))


@lab(
    "generalization",
    {
        "small-weights-are-nearly-linear": Claim(
            "A network with small weights is nearly a linear function of its inputs.",
            source=_BISHOP,
        ),
        "training-makes-non-linear": Claim(
            "Weights that start small grow in training, and the network becomes less linear with every "
            "epoch: stopped early, it is a simpler function.",
            source=_BISHOP,
        ),
    },
    data="an MLP 64-64-64-10 with tanh on digits; share of the variance of its outputs that the best "
    "linear function of the inputs explains (R²)",
    rule="over 4 starts: R² falls as the weights of torch's start are multiplied by 0.1 to 8 (rank "
    "correlation at most −0.9) and is above 0.999 at 0.1; from a start at 0.5 it falls over 40 epochs of "
    "Adam (at most −0.9), and ends below where it began",
)
def early_linear(setup: Setup) -> Evidence:
    """Fit a linear function to a network's outputs, over the size of its weights and over training."""
    over_scale, over_epochs = [], []
    x = torch.as_tensor(prepare(load("digits")).train.x)
    for seed in setup.seeds(4, full=10):
        watcher = _Linearity(x)
        preceptor.train(
            _net(seed, 0.5), "digits", epochs=setup.size(40, 150), seed=seed, out=False,
            callbacks=[watcher],
            settings={"training.watch": False, "data.audit": "none", "training.patience": None},
        )  # fmt: skip
        over_scale.append([_linearity(_net(seed, scale), x) for scale in _SCALES])
        over_epochs.append(watcher.seen)
    by_scale, by_epoch = np.array(over_scale), np.array(over_epochs)
    checks = {
        "small-weights-are-nearly-linear": [
            rising("R²", _SCALES, by_scale, falling=True),
            above("R² at a tenth of the weights", by_scale[:, 0], 0.999),
        ],
        "training-makes-non-linear": [
            rising("R²", np.arange(by_epoch.shape[1]), by_epoch, falling=True),
            more("R², before training against after it", by_epoch[:, 0], by_epoch[:, -1]),
        ],
    }
    figure = Figure(
        "How linear a network on digits is while it learns",
        "epoch",
        "R² of the best linear function",
        {"outputs": by_epoch.tolist()},
        list(range(by_epoch.shape[1])),
    )
    table = [
        {"weights × ": scale, "R²": float(r2)} for scale, r2 in zip(_SCALES, by_scale.mean(0), strict=True)
    ]
    return Evidence(checks, figure, table)


def _net(seed: int, scale: float) -> nn.Module:
    torch.manual_seed(seed)
    net = preceptor.catalogue.get("mlp", (1, 8, 8), 10, hidden=(64, 64), activation="tanh")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= scale
    made: nn.Module = net
    return made


def _linearity(model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        outputs = model(x).numpy()
    flat = x.flatten(1).numpy()
    return float(LinearRegression().fit(flat, outputs).score(flat, outputs))
