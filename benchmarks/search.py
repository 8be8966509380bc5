"""Random search beside a grid, where one hyperparameter matters and where both do.

    python benchmarks/search.py                      # a minute on one core
    python benchmarks/search.py --repeats 4000 --json search.json

No network is trained: what a point is worth is a formula with a planted optimum, and the points come from
the same classes as in `preceptor search`. x lies between 0 and 1 on each axis; c is drawn in each repetition.

    one      exp(−((x₁ − c₁)/0.1)²): a narrow peak along one hyperparameter, the others do nothing
    both     exp(−((x₁ − c₁)² + (x₂ − c₂)²)/0.3²): two that matter alike

First part: the best of as many trials as a grid of 3 × 3, 4 × 4, … has; the difference random − grid is
paired by repetition, with its 95 % interval. Second part: trials until a value of 0.8 is found, where the
grid gets finer and finer (1, 4, 9, 16, … trials, all of them counted); the ratio of the medians, with its
bootstrap interval.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preceptor.search.journal import Trial
from preceptor.search.methods import Grid, RandomSearch
from preceptor.search.space import Point, Space

GOAL, MOST = 0.8, 400
Worth = Callable[[Sequence[float], Sequence[float]], float]
WORTH: dict[str, Worth] = {
    "one": lambda x, c: math.exp(-(((x[0] - c[0]) / 0.1) ** 2)),
    "both": lambda x, c: math.exp(-((x[0] - c[0]) ** 2 + (x[1] - c[1]) ** 2) / 0.3**2),
}


def space_of(dimensions: int) -> Space:
    keys = ("optimizer.lr", "model.dropout", "optimizer.weight_decay")
    return Space.parse(dict.fromkeys(keys[:dimensions], "0.0..1.0"))


def proposals(space: Space, count: int, seed: int) -> Iterator[Point]:
    """The points of a random search, one after the other, as it proposes them."""
    method, trials = RandomSearch(space, count, (seed,)), []
    while (move := method.next(trials, "max")) is not None:
        trials.append(Trial(len(trials), "", move.settings))
        yield move.settings


def reached(points: Sequence[Point], space: Space, worth: Worth, centre: Sequence[float]) -> list[float]:
    return [worth(space.place(point), centre) for point in points]


def interval(differences: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    mean, error = differences.mean(), differences.std(ddof=1) / math.sqrt(len(differences))
    return float(mean), float(mean - 1.96 * error), float(mean + 1.96 * error)


def best_of(side: int, dimensions: int, worth: Worth, repeats: int) -> dict[str, float]:
    space = space_of(dimensions)
    grid = Grid(space, side**dimensions).points
    best = {"grid": np.empty(repeats), "random": np.empty(repeats)}
    for k in range(repeats):
        centre = np.random.default_rng([1, k]).random(dimensions).tolist()
        best["grid"][k] = max(reached(grid, space, worth, centre))
        best["random"][k] = max(reached(list(proposals(space, len(grid), k)), space, worth, centre))
    mean, low, high = interval(best["random"] - best["grid"])
    means = {name: float(values.mean()) for name, values in best.items()}
    wins = float((best["random"] > best["grid"]).mean())
    return {"trials": len(grid), **means, "gain": mean, "low": low, "high": high, "wins": wins}


def trials_to_goal(dimensions: int, worth: Worth, repeats: int) -> dict[str, float]:
    space = space_of(dimensions)
    sides = [side for side in range(1, MOST) if side**dimensions <= MOST]
    finer = [point for side in sides for point in space.grid(side)][:MOST]
    counts = {"grid": np.empty(repeats), "random": np.empty(repeats)}
    for k in range(repeats):
        centre = np.random.default_rng([2, k]).random(dimensions).tolist()
        for name, points in (("grid", iter(finer)), ("random", proposals(space, MOST, k))):
            found = (worth(space.place(point), centre) >= GOAL for point in points)
            counts[name][k] = next((n for n, good in enumerate(found, 1) if good), MOST)
    generator = np.random.default_rng(0)
    draws = generator.integers(repeats, size=(2000, repeats))
    ratios = np.median(counts["grid"][draws], axis=1) / np.median(counts["random"][draws], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    medians = {name: float(np.median(values)) for name, values in counts.items()}
    return {**medians, "ratio": medians["grid"] / medians["random"], "low": float(low), "high": float(high)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made: dict[str, Any] = {"best": {}, "goal": {}}
    print(f"{'matters':8}{'trials':>7}{'grid':>8}{'random':>8}   random − grid, 95 %        random wins")
    for name, worth in WORTH.items():
        for side, dimensions in ((3, 2), (4, 2), (3, 3)):
            row = made["best"][f"{name} {side}^{dimensions}"] = best_of(
                side, dimensions, worth, arguments.repeats
            )
            print(
                f"{name:8}{row['trials']:7}{row['grid']:8.3f}{row['random']:8.3f}   "
                f"{row['gain']:+.3f} ({row['low']:+.3f} … {row['high']:+.3f})   {row['wins']:.0%}",
                flush=True,
            )
    print(f"\ntrials until {GOAL}   grid  random   grid ÷ random, 95 %")
    for name, worth in WORTH.items():
        row = made["goal"][name] = trials_to_goal(2, worth, min(arguments.repeats, 500))
        print(
            f"{name:17}{row['grid']:7.0f}{row['random']:8.0f}   {row['ratio']:.2f} "
            f"({row['low']:.2f} … {row['high']:.2f})",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
