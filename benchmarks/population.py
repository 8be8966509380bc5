"""Many trainings at once beside the same trainings one after another, all in one run.

    python benchmarks/population.py                       # everything; some minutes on one core
    python benchmarks/population.py --only small-32 --rounds 9 --json population.json
    python benchmarks/population.py --only small-128 --threads 2       # both cores, by wall clock
    pip install optuna && python benchmarks/population.py --only small-32

Every row trains the same members: as many seeds, each with its own learning rate, from its own first
weights, over its own order of examples, with Adam and cross-entropy, and measures loss and accuracy on
validation examples after each epoch. Data are synthetic and in memory, arithmetic is float32, on one thread
unless --threads says otherwise: then every row may use so many, and wall clock counts in place of CPU time.
The rows take turns after an untimed one, in which `preceptor` also times which engine is fastest; making the
members counts.

Workloads:
    small-32, small-128   MLP 64-64-10, batch 32, 40 steps an epoch: all overhead
    mlp-8                 MLP 784-256-128-10, batch 128, 20 steps an epoch: matrix products
    lenet-32              LeNet-5 (ReLU, max pooling) on 1×28×28, batch 32, 8 steps an epoch: convolutions

Rows:
    optimised    by hand, one after another, all that public calls give: batches gathered in blocks that fit
                 the cache, fused Adam, gradients set to None, losses kept as tensors
    preceptor    preceptor.training.population.train_members, engine "auto"
    one by one   the same with engine "sequential": what the population saves of our own loop
    optuna       a study of as many trials, each the optimised loop with a suggested rate (where installed)

Columns: time of a member's step, validation shared out; how many times as fast as `optimised`: the
median over the rounds, with quartiles; the engine; the mean validation loss of the members, which shows that
they did the same work.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from _by_hand import _blocks, _validate
from _measure import settled
from _workloads import WORKLOADS, Workload, _mlp
from preceptor.training import Experiment, Objects
from preceptor.training.population import train_members

EPOCHS = 10


@dataclass(frozen=True)
class Task:
    """A network with its data, trained by so many members."""

    work: Workload
    members: int
    epochs: int = EPOCHS

    @property
    def rates(self) -> list[float]:
        return [1e-3 * 4 ** (k / self.members) for k in range(self.members)]

    @property
    def steps(self) -> int:
        return self.members * self.epochs * self.work.steps


SMALL = Workload("small", lambda: _mlp(64, 64, 10), (64,), 10, batch=32, steps=40)
TASKS = {
    "small-32": Task(SMALL, 32),
    "small-128": Task(SMALL, 128),
    "mlp-8": Task(replace(WORKLOADS["mlp"], steps=20), 8, 2),
    "lenet-32": Task(replace(WORKLOADS["lenet"], batch=32, steps=8), 32, 2),
}


@dataclass(frozen=True)
class Outcome:
    engine: str
    losses: tuple[float, ...]


def by_hand(task: Task, seed: int, lr: float, data: Sequence[Tensor]) -> float:
    """Train one member; return its last validation loss."""
    x, y, val_x, val_y = data
    torch.manual_seed(seed)
    model = torch.nn.Sequential(*task.work.modules())
    parameters = list(model.parameters())
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=True)
    val_loss = 0.0
    for _ in range(task.epochs):
        model.train()
        losses = []
        for inputs, targets in _blocks(x, y, task.work.batch):
            loss = functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            for p in parameters:
                p.grad = None
            losses.append(loss.detach())
        torch.stack(losses).mean().item()
        val_loss, _ = _validate(model, val_x, val_y)
    return val_loss


def optimised(task: Task, data: Sequence[Tensor]) -> Outcome:
    return Outcome("–", tuple(by_hand(task, seed, lr, data) for seed, lr in enumerate(task.rates)))


def preceptor(task: Task, data: Sequence[Tensor], engine: str = "auto") -> Outcome:
    x, y, val_x, val_y = data
    settings = {
        "training.epochs": task.epochs, "training.batch_size": task.work.batch, "training.patience": None,
        "training.train_examples": 0, "training.watch": False, "metrics": ["accuracy"], "data.test": 0.0,
        "data.scale": "none",
    }  # fmt: skip
    from preceptor.training.inputs import Inputs

    members = train_members(
        Experiment.of(settings),
        [{"seed": seed, "lr": lr} for seed, lr in enumerate(task.rates)],
        data=Inputs((x, y), val=(val_x, val_y), own_model=True),
        objects=Objects(model=lambda: torch.nn.Sequential(*task.work.modules())),
        engine=engine,  # type: ignore[arg-type]
    )
    return Outcome(members[0].engine, tuple(m.history[-1, "val_loss"] for m in members))


def optuna(task: Task, data: Sequence[Tensor]) -> Outcome:
    import optuna as library

    library.logging.set_verbosity(library.logging.WARNING)
    losses = []

    def objective(trial: Any) -> float:
        losses.append(by_hand(task, trial.number, trial.suggest_float("lr", 1e-3, 4e-3, log=True), data))
        return losses[-1]

    library.create_study(sampler=library.samplers.RandomSampler(seed=0)).optimize(
        objective, n_trials=task.members
    )
    return Outcome("–", tuple(losses))


ROWS: dict[str, Callable[[Task, Sequence[Tensor]], Outcome]] = {
    "optimised": optimised,
    "preceptor": preceptor,
    "one by one": lambda task, data: preceptor(task, data, "sequential"),
    "optuna": optuna,
}


def compare(
    task: Task, rounds: int, names: Sequence[str], clock: Callable[[], float]
) -> dict[str, dict[str, Any]]:
    if task.members > 100:  # it would take as long as all others together
        names = [name for name in names if name != "one by one"]
    data = task.work.data()
    outcomes = {name: ROWS[name](task, data) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in [*names[start:], *names[:start]]:
            with settled():
                began = clock()
                ROWS[name](task, data)
                seconds[name].append(clock() - began)
    report = {}
    for name in names:
        ratios = [a / b for a, b in zip(seconds["optimised"], seconds[name], strict=True)]
        low, middle, high = (
            statistics.quantiles(ratios, n=4, method="inclusive") if rounds > 1 else ratios * 3
        )
        losses = outcomes[name].losses
        report[name] = {
            "us_per_step": statistics.median(seconds[name]) / task.steps * 1e6,
            "times": middle, "low": low, "high": high,
            "engine": outcomes[name].engine, "val_loss": statistics.mean(losses),
        }  # fmt: skip
    return report


def show(name: str, task: Task, report: dict[str, dict[str, Any]]) -> None:
    print(f"\n{name}: {task.members} members, {task.epochs} epochs of {task.work.steps} steps")
    print(f"  {'':<12}{'µs/step':>10}{'times':>8}{'quartiles':>14}{'engine':>13}{'val loss':>10}")
    for row, r in report.items():
        quartiles = f"{r['low']:.1f}–{r['high']:.1f}"
        print(
            f"  {row:<12}{r['us_per_step']:>10.1f}{r['times']:>8.2f}{quartiles:>14}{r['engine']:>13}"
            f"{r['val_loss']:>10.4f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=TASKS, help="repeatable; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every row (5)")
    parser.add_argument("--threads", type=int, default=1, help="of every row (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    names = [n for n in ROWS if n != "optuna" or importlib.util.find_spec("optuna")]
    print(f"torch {torch.__version__}, threads: {arguments.threads}, rounds: {arguments.rounds}")
    results = {}
    for name in arguments.only or TASKS:
        results[name] = compare(TASKS[name], arguments.rounds, names, clock)
        show(name, TASKS[name], results[name])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
