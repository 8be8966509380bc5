"""How far the inputs of the layers move while a network learns."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import preceptor
from preceptor.catalogue import get
from preceptor.data import load, prepare
from preceptor.labs import Claim, Evidence, Figure, Setup, lab, more, told
from preceptor.training.state import State

_LAYERS = 5


class _Drift(preceptor.Callback):
    """Records the moments of every layer's inputs before the first step and after each one."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def on_train_begin(self, state: State) -> None:
        self.monitor = get("internal-covariate-shift", state.problem.model, self.x)
        self.monitor.record()

    def on_batch_end(self, state: State) -> None:
        self.monitor.record()


@lab(
    "normalization",
    {
        "bn-lowers-covariate-shift": Claim(
            "With batch normalisation the inputs of the layers move less from step to step.",
            source="Ioffe and Szegedy, Batch Normalization, 2015; disputed by Santurkar et al., How Does "
            "Batch Normalization Help Optimization?, 2018",
        )
    },
    data="digits, an MLP of 5 layers of 64 ReLU units from a He start, 5 epochs of SGD at 0.1 in batches of "
    "64; mean over units of |Δμ| / σ + |ln(σ' / σ)| of the inputs of layers 2 to 6, on 256 examples in "
    "training mode, between steps",
    rule="over 5 starts the mean drift of those layers without batch normalisation is larger than with it",
)
def layer_drift(setup: Setup) -> Evidence:
    """Follow the inputs of every layer through training, with and without batch normalisation."""
    x = torch.as_tensor(prepare(load("digits")).train.x)[:256]
    drifts: dict[str, list[list[float]]] = {"without": [], "batch normalisation": []}
    losses: dict[str, list[float]] = {name: [] for name in drifts}
    for seed in setup.seeds(5, full=20):
        for name in drifts:
            watcher = _Drift(x)
            run = preceptor.train(
                "mlp", "digits", init="he-normal", optimizer="sgd", lr=0.1, epochs=5, batch_size=64,
                seed=seed, callbacks=[watcher], out=False,
                settings={"model.hidden": [64] * _LAYERS, "training.watch": False, "data.audit": "none",
                          "model.normalization": None if name == "without" else "batch-norm"},
            )  # fmt: skip
            drifts[name].append(list(watcher.monitor.result()["drift"].values())[1:])
            losses[name].append(run.history[-1, "train_loss"])
    by = {name: np.array(rows) for name, rows in drifts.items()}
    checks = [
        more("mean drift, without against with", by["without"].mean(1), by["batch normalisation"].mean(1)),
        *(
            told(f"training loss at the end, {name}", float(np.mean(values)))
            for name, values in losses.items()
        ),
    ]
    figure = Figure(
        "How far the layers' inputs move in a step",
        "layer",
        "drift",
        {name: rows.tolist() for name, rows in by.items()},
        list(range(2, _LAYERS + 2)),
    )
    note = (
        "That the drift is smaller or larger does not say why batch normalisation helps: with noise added "
        "behind it, so that inputs move more than without, networks still learned as fast (Santurkar et al.)."
    )
    return Evidence({"bn-lowers-covariate-shift": checks}, figure, note=note)
