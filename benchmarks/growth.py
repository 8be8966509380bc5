"""What a unit of work costs as the work grows: steps, layers, members, rows.

    python benchmarks/growth.py                      # everything; a few minutes on one core
    python benchmarks/growth.py --only rows --json growth.json

Each axis grows by powers; at each size Preceptor and a peer take turns, and both costs are CPU microseconds a
unit, medians over the rounds. The exponent is the slope of log cost in log size, over the upper half of the
sizes: 0 is a cost a unit that does not grow.

    steps     a training of so many steps of an MLP 32-64-4, watched, with run folder; peer: the optimised
              loop by hand. Unit: a step
    layers    a step of an MLP of so many layers of 64, watched; peer: the same loop. Unit: a layer of a step
    members   so many MLPs 64-64-10 trained at once; peer: one after another by hand. Unit: a member's step
    rows      a CSV file of so many rows and 20 columns to split and scaled tensors; peer: pandas.read_csv,
              or numpy.loadtxt where pandas is not installed. Unit: a row
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import population
import preceptor
from _by_hand import hand_loop
from _measure import Clock, settled
from _workloads import Workload, _mlp
from preceptor.data import load, prepare

COLUMNS = 20


def watched(work: Workload, epochs: int) -> None:
    """Train as preceptor.train comes, with a run folder."""
    x, y, val_x, val_y = work.data()
    with tempfile.TemporaryDirectory() as folder:
        preceptor.train(
            work.model(), (x, y), val=(val_x, val_y), test=0, loss="cross-entropy", optimizer="adam",
            batch_size=work.batch, epochs=epochs, out=Path(folder) / "run",
            settings={"training.patience": "none"},
        )  # fmt: skip


def steps(size: int) -> tuple[int, Mapping[str, Callable[[], object]]]:
    work = Workload("tiny", partial(_mlp, 32, 64, 4), (32,), 4, batch=64, steps=100)
    epochs = max(1, size // work.steps)
    return size, {
        "preceptor": partial(watched, work, epochs),
        "peer": lambda: hand_loop(work, epochs, Clock()),
    }


def layers(size: int) -> tuple[int, Mapping[str, Callable[[], object]]]:
    def modules() -> list[nn.Module]:
        return _mlp(64, *[64] * (size - 1), 4)

    work = Workload("deep", modules, (64,), 4, batch=64, steps=100)
    return size * 3 * work.steps, {
        "preceptor": partial(watched, work, 3),
        "peer": lambda: hand_loop(work, 3, Clock()),
    }


def members(size: int) -> tuple[int, Mapping[str, Callable[[], object]]]:
    task = population.Task(population.SMALL, size, 2)
    data = task.work.data()
    return task.steps, {
        "preceptor": partial(population.preceptor, task, data),
        "peer": partial(population.optimised, task, data),
    }


def rows(size: int, folder: Path) -> tuple[int, Mapping[str, Callable[[], object]]]:
    file = folder / f"{size}.csv"
    if not file.exists():
        draws = np.random.default_rng(0)
        table = np.column_stack([draws.normal(size=(size, COLUMNS)), draws.integers(3, size=size)])
        heads = ",".join([*(f"x{i}" for i in range(COLUMNS)), "y"])
        np.savetxt(file, table, fmt=["%.5f"] * COLUMNS + ["%d"], delimiter=",", header=heads, comments="")

    def peer() -> object:
        if importlib.util.find_spec("pandas"):
            import pandas

            return pandas.read_csv(file)
        return np.loadtxt(file, delimiter=",", skiprows=1)

    return size, {"preceptor": lambda: prepare(load(file, target="y")), "peer": peer}


SIZES: dict[str, Sequence[int]] = {
    "steps": (100, 300, 1_000, 3_000, 10_000, 30_000),
    "layers": (2, 4, 8, 16, 32, 64, 128, 256),
    "members": (1, 4, 16, 64, 256, 1024),
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
}


def measure(units: int, work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return microseconds of CPU a unit, one a round, after an untimed turn where that is cheap."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds):
        for name in sorted(work, reverse=bool(turn % 2)):
            with settled():
                began = time.process_time()
                work[name]()
                found[name].append((time.process_time() - began) / units * 1e6)
    return found


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Return the slope of log cost in log size over the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(costs[half:]), 1)[0])


def axis(name: str, rounds: int, largest: int) -> dict[str, Any]:
    """Measure one axis and print it."""
    sizes = [size for size in SIZES[name] if not largest or size <= largest]
    table = []
    print(f"\n{name:<9}{'preceptor':>12}{'peer':>12}{'ratio':>8}   (CPU µs a unit)")
    with tempfile.TemporaryDirectory() as folder:
        made = partial(rows, folder=Path(folder)) if name == "rows" else AXES[name]
        measure(*made(sizes[0]), 1)  # imports and first calls are not of the work
        for size in sizes:
            found = measure(*made(size), rounds)
            ours, peer = (statistics.median(found[key]) for key in ("preceptor", "peer"))
            ratios = [a / b for a, b in zip(found["preceptor"], found["peer"], strict=True)]
            table.append({"size": size, "preceptor": ours, "peer": peer, "ratio": statistics.median(ratios)})
            print(f"{size:>9,}{ours:>12.2f}{peer:>12.2f}{table[-1]['ratio']:>8.2f}", flush=True)
    slopes = {key: exponent(sizes, [row[key] for row in table]) for key in ("preceptor", "peer")}
    print(f"exponent {slopes['preceptor']:>12.2f}{slopes['peer']:>12.2f}")
    return {"sizes": table, "exponent": slopes}


AXES: dict[str, Callable[[int], tuple[int, Mapping[str, Callable[[], object]]]]] = {
    "steps": steps,
    "layers": layers,
    "members": members,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=SIZES, help="repeatable; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=0, help="no size beyond this; 0: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = {name: axis(name, given.rounds, given.largest) for name in given.only or SIZES}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
