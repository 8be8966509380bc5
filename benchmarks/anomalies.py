"""How well what is unusual is told from what is usual: area under the ROC curve of the default detector.

    python benchmarks/anomalies.py                              # digits, each digit in turn the anomaly
    python benchmarks/anomalies.py --data wine --seeds 5
    python benchmarks/anomalies.py --model reconstruction-error --epochs 30

Each class in turn is left out of training and measured on; beside the detector stand scikit-learn's on the
same examples: an isolation forest of 200 trees and the local outlier factor of 20 neighbours. Mean over seeds
of the split, with the half width of the 95 % interval (Student's t) from two seeds on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import preceptor
from preceptor.data import load

_OTHERS: dict[str, Callable[[int], Any]] = {
    "isolation forest": lambda seed: IsolationForest(n_estimators=200, random_state=seed),
    "local outlier factor": lambda seed: LocalOutlierFactor(20, novelty=True),
}


def areas(data: str, anomaly: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the area of each detector on the test examples, and what was flagged of the usual ones."""
    run = preceptor.train(
        options.model,
        data,
        task="anomaly-detection",
        epochs=options.epochs,
        seed=seed,
        out=False,
        settings={
            "data.anomalies": anomaly,
            "data.seed": seed,
            "training.watch": False,
            "data.audit": "none",
        },
    )
    assert run.prepared is not None
    assert run.prepared.test is not None
    found = {run.experiment.model.name: run.test().metrics["roc_auc"]}
    train, test = (part.x.flatten(1).numpy() for part in (run.prepared.train, run.prepared.test))
    unusual = run.prepared.test.y.numpy()
    for name, make in _OTHERS.items():
        found[name] = float(roc_auc_score(unusual, -make(seed).fit(train).score_samples(test)))
    return found


def told(values: list[float]) -> str:
    n = len(values)
    if n < 2:
        return f"{values[0]:.3f}"
    half = float(student.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return f"{np.mean(values):.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default=None, help="default: the task's own")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    every: dict[str, list[float]] = {}
    for anomaly in load(options.data).classes:
        found: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            for name, area in areas(options.data, anomaly, seed, options).items():
                found.setdefault(name, []).append(area)
        if not every:
            print("| anomaly | " + " | ".join(found) + " |", flush=True)
        print(f"| {anomaly} | " + " | ".join(map(told, found.values())) + " |", flush=True)
        for name, values in found.items():
            every.setdefault(name, []).append(float(np.mean(values)))
    print("| mean | " + " | ".join(f"{np.mean(values):.3f}" for values in every.values()) + " |")


if __name__ == "__main__":
    main()
