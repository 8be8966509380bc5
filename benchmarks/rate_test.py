"""How near the learning-rate test comes to the best rate of a dense grid, on twenty tasks.

    python benchmarks/rate_test.py                     # some minutes on one core
    python benchmarks/rate_test.py --only digits --json rate_test.json

For each task (a data set, a network, an optimizer) `preceptor.lr_test` is asked for a rate. The reference is
a grid of eight rates to a decade from 1e-5 to 10 with eight seeds each, other seeds than the test's, trained
for as many iterations; its best rate has the lowest mean of the best validation losses. Grids are trained as
populations.

Columns: the test's rate and band; the grid's best; how far apart they are, as a factor; by how much the mean
loss at the grid's rate nearest to the suggestion exceeds the best one, and the standard error of that
difference over the seeds; CPU seconds of the test.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import preceptor
from preceptor.training import Experiment
from preceptor.training.population.short_runs import Passes

GRID = tuple(float(10 ** (k / 8)) for k in range(-40, 9))
SEEDS, FIRST_SEED = 8, 1000
FACTOR = 2.0


@dataclass(frozen=True)
class Task:
    data: str
    optimizer: str
    hidden: tuple[int, ...] = (32,)
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        extra = "".join(f" {key.rpartition('.')[2]}={value}" for key, value in self.settings)
        return f"{self.data} {self.optimizer} {'-'.join(map(str, self.hidden))}{extra}"

    @property
    def experiment(self) -> Experiment:
        given = {"data.source": self.data, "model": "mlp", "model.hidden": list(self.hidden)}
        return Experiment.of({**given, "optimizer": self.optimizer, **dict(self.settings)})


TASKS = (
    *(Task("digits", name) for name in ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")),
    *(Task("breast-cancer", name) for name in ("sgd", "adam", "rmsprop")),
    *(Task("wine", name, (16,)) for name in ("sgd", "momentum", "adam")),
    *(Task("iris", name, (16,)) for name in ("sgd", "adam")),
    *(Task("diabetes", name, (16,)) for name in ("sgd", "momentum", "adam")),
    Task("digits", "adam", (64, 64)),
    Task("digits", "momentum", (32,), (("training.batch_size", 128),)),
    Task("digits", "adam", (32,), (("model.activation", "tanh"), ("model.dropout", 0.2))),
)


def grid_of(task: Task, iterations: int) -> np.ndarray[Any, Any]:
    """Return the best loss of a training at each rate with each seed, NaN where it diverged."""
    experiment = task.experiment.changed({"seed": FIRST_SEED})
    passes = Passes(experiment, None, None, "auto", lambda text: None)
    return passes.losses(GRID, SEEDS, iterations)


def judge(task: Task, iterations: int) -> dict[str, Any]:
    began = time.process_time()
    found = preceptor.lr_test(experiment=task.experiment, iterations=iterations)
    seconds = time.process_time() - began
    losses = grid_of(task, found.iterations)
    means = np.where(np.isfinite(losses).all(1), losses.mean(1), np.inf)
    best = int(means.argmin())
    row: dict[str, Any] = {"best": GRID[best], "seconds": seconds, "lr": found.lr, "band": found.band}
    row["reason"] = found.choice.reason
    if found.lr is not None:
        near = int(np.abs(np.log(GRID) - math.log(found.lr)).argmin())
        difference = losses[near] - losses[best]
        row |= {
            "factor": max(found.lr / GRID[best], GRID[best] / found.lr),
            "excess": float(difference.mean() / means[best]),
            "error": float(difference.std(ddof=1) / math.sqrt(SEEDS) / means[best]),
        }
    return row


def show(task: Task, row: dict[str, Any]) -> None:
    if row["lr"] is None:
        print(f"{task.name:<36} refused: {row['reason']}; best {row['best']:.1e}", flush=True)
        return
    low, high = row["band"]
    print(
        f"{task.name:<36} {row['lr']:.1e} ({low:.1e} … {high:.1e})  best {row['best']:.1e}  "
        f"factor {row['factor']:.2f}  loss +{row['excess']:.1%} ± {row['error']:.1%}  {row['seconds']:.1f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help="tasks whose name contains this")
    parser.add_argument("--iterations", type=int, default=300, help="steps of each training (300)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = {}
    for task in TASKS:
        if not arguments.only or arguments.only in task.name:
            rows[task.name] = judge(task, arguments.iterations)
            show(task, rows[task.name])
    hits = sum(row.get("factor", math.inf) <= FACTOR for row in rows.values())
    alike = sum(row.get("excess", math.inf) <= max(0.05, row.get("error", 0.0)) for row in rows.values())
    print(f"{hits} of {len(rows)} within a factor {FACTOR:g} of the grid's best rate")
    print(f"{alike} of {len(rows)} within 5 % of its loss, or the standard error of the difference")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
