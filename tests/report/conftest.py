"""Two real runs as summaries: digits classified, diabetes regressed, each fitted in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preceptor.report import (
    DataSummary,
    Feature,
    Layer,
    ModelSummary,
    Predictions,
    Setting,
    Summary,
    TestLook,
    Timing,
)
from preceptor.training import Experiment, RunFolder
from preceptor.training.history import History

SETTINGS = (
    Setting("epochs", 25, 100, True),
    Setting("optimizer.name", "adam", "adam", True),
    Setting("optimizer.lr", 3e-3, 1e-3, True),
    Setting("model.hidden", (64,), (128,), True),
    Setting("batch_size", 64, 64, False),
    Setting("schedule.name", "constant", "constant", False),
    Setting("weight_decay", 0.0, 0.0, False),
    Setting("max_grad_norm", None, None, False),
    Setting("precision", "fp32", "fp32", False),
    Setting("patience", 10, 10, False),
    Setting("deterministic", True, True, False),
    Setting("seed", 0, 0, False),
)
TIMING = Timing(
    shares={"data": 0.08, "forward": 0.27, "backward": 0.36, "step": 0.19, "evaluation": 0.07, "other": 0.03},
    step_median_ms=0.412,
    step_p95_ms=0.655,
    estimated_seconds=2.6,
    actual_seconds=2.31,
    steps=500,
    examples_per_second=13_600.0,
)
VERSIONS = {"preceptor": "0.1.0", "python": "3.12.3", "torch": "2.13.0", "numpy": "2.4.6", "device": "cpu"}


@pytest.fixture(scope="session")
def digits() -> Summary:
    """25 epochs of a small network on the digits, and its 270 test predictions."""
    from sklearn.datasets import load_digits
    from sklearn.metrics import f1_score, log_loss
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    train, val, test = np.split(order, [1257, 1527])
    model = MLPClassifier((64,), learning_rate_init=3e-3, batch_size=64, random_state=0)
    history: list[dict[str, float | int | str | None]] = []
    for epoch in range(1, 26):
        model.partial_fit(x[train] / 16, y[train], classes=np.arange(10))
        row: dict[str, float | int | str | None] = {"epoch": epoch, "train_loss_running": float(model.loss_)}
        for part, rows in (("train", train), ("val", val)):
            probabilities = model.predict_proba(x[rows] / 16)
            said = probabilities.argmax(1)
            row[f"{part}_loss"] = float(log_loss(y[rows], probabilities))
            row[f"{part}_accuracy"] = float((said == y[rows]).mean())
            row[f"{part}_macro_f1"] = float(f1_score(y[rows], said, average="macro"))
        row |= {"lr": 3e-3 * (1 + np.cos(np.pi * epoch / 25)) / 2 + 1e-5, "seconds": 0.09}
        history.append(row)
    probabilities = model.predict_proba(x[test] / 16)
    names = tuple(str(k) for k in range(10))
    parts = {"train": train, "val": val, "test": test}
    accuracy = float((probabilities.argmax(1) == y[test]).mean())
    return Summary(
        name="digits",
        folder="runs/digits-1",
        task="Classify 8×8 images into 10 classes (0 to 9), one class per image.",
        measure="Accuracy: the share of validation images whose class is named rightly; higher is better.",
        experience="1,257 labelled training images of 1,797, split with stratification by seed 0.",
        status="finished: all 25 epochs",
        history=history,
        best_epoch=int(np.argmin([row["val_loss"] for row in history])) + 1,
        monitor="val_loss",
        settings=SETTINGS,
        data=DataSummary(
            rows=(
                ("source", "sklearn:digits"),
                ("examples", "1,797 images 1×8×8"),
                ("split", "1,257 / 270 / 270 (stratified, seed 0)"),
                ("fingerprint", "3f6c0d9be1a27c55"),
                ("scaling", "each pixel to mean 0, deviation 1, on the training part"),
            ),
            class_counts={
                part: {names[k]: int((y[rows] == k).sum()) for k in range(10)} for part, rows in parts.items()
            },
            notes=("3 pixels are 0 in every training image.",),
        ),
        model=ModelSummary(
            "mlp",
            "mlp 64-64-10 with ReLU",
            4810,
            (
                Layer("hidden.0", "Linear", "64→64", 4160),
                Layer("hidden.1", "ReLU", "64", 0),
                Layer("output", "Linear", "64→10", 650),
            ),
        ),
        predictions=Predictions(
            "classification",
            "test",
            target=y[test],
            predicted=probabilities.argmax(1),
            losses=-np.log(np.maximum(probabilities[np.arange(len(test)), y[test]], 1e-12)),
            rows=test,
            classes=names,
            probabilities=probabilities,
            images=x[test].reshape(-1, 1, 8, 8),
        ),
        test=TestLook(
            {"accuracy": accuracy, "macro_f1": 0.961}, len(test), 1, (accuracy - 0.025, accuracy + 0.015)
        ),
        timing=TIMING,
        versions=VERSIONS,
        notes=("The validation part decided when to stop, so its score is slightly optimistic.",),
    )


@pytest.fixture(scope="session")
def diabetes() -> Summary:
    """60 epochs of gradient descent on the diabetes data, and its validation predictions."""
    from sklearn.datasets import load_diabetes

    loaded = load_diabetes()
    x, y = loaded.data / loaded.data.std(0), loaded.target
    order = np.random.default_rng(0).permutation(len(x))
    train, val, _ = np.split(order, [310, 376])
    centre, scale = y[train].mean(), y[train].std()
    target = (y - centre) / scale
    weights = np.zeros(x.shape[1])
    history: list[dict[str, float | int | str | None]] = []
    for epoch in range(1, 61):
        weights -= 0.1 * x[train].T @ (x[train] @ weights - target[train]) / len(train)
        row: dict[str, float | int | str | None] = {"epoch": epoch, "lr": 0.1, "seconds": 0.001}
        for part, rows in (("train", train), ("val", val)):
            error = x[rows] @ weights - target[rows]
            row[f"{part}_loss"] = float((error**2).mean())
            row[f"{part}_r2"] = float(
                1 - (error**2).sum() / ((target[rows] - target[rows].mean()) ** 2).sum()
            )
            row[f"{part}_rmse"] = float(scale * np.sqrt((error**2).mean()))
        history.append(row)
    predicted = x[val] @ weights * scale + centre
    features = tuple(
        Feature(name, "number", float(c.mean()), float(c.std()), float(c.min()), float(c.max()), 0)
        for name, c in zip(loaded.feature_names, loaded.data[train].T, strict=True)
    )
    return Summary(
        name="diabetes",
        folder="runs/diabetes-1",
        task="Predict the progression of the disease one year after baseline, a number.",
        measure="R² on the validation part: 1 is perfect, 0 is no better than the mean.",
        experience="310 of 442 patients with 10 measurements each.",
        status="finished: all 60 epochs",
        history=history,
        best_epoch=int(np.argmin([row["val_loss"] for row in history])) + 1,
        monitor="val_loss",
        settings=SETTINGS[4:],
        data=DataSummary((("examples", "442 rows"), ("target", "target, 25 to 346")), {}, (), features),
        model=ModelSummary(
            "linear",
            "Linear(\n  in_features=10,\n  out_features=1\n)",
            11,
            (Layer("", "Linear", "10→1", 11),),
        ),
        predictions=Predictions(
            "regression", "val", y[val], predicted, ((predicted - y[val]) / scale) ** 2, val, units="score"
        ),
        timing=TIMING,
        versions=VERSIONS,
    )


def run_folder(place: Path, lr: float, seed: int, epochs: int = 4, **manifest: Any) -> RunFolder:
    """Return a run as its folder tells of it, without any training."""
    experiment = Experiment().changed({"seed": seed, "optimizer.lr": lr, "training.monitor": "val_loss"})
    rows: list[dict[str, Any]] = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": 1 / e + lr + 0.01 * lr * seed, "lr": lr}
        for e in range(1, epochs + 1)
    ]
    known = {"status": "finished", "chosen": [], "signature": {}, "ledger": [], "best_epoch": epochs or None}
    files = {
        "experiment.toml": experiment.to_toml(),
        "manifest.json": json.dumps(known | manifest),
        "history.csv": History(rows).to_csv(),
        "findings.json": json.dumps({"findings": [{"cause": "overfitting", "severity": "warning"}]}),
    }
    return RunFolder.create("run", files, out=place)
