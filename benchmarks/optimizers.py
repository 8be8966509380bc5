"""Optimizers of the catalogue beside their peers: first-order steps in microseconds, second order in seconds.

    python benchmarks/optimizers.py                  # both parts; some ten minutes on one core
    python benchmarks/optimizers.py --part second --seeds 5 --json optimizers.json

First order: one step over the parameters of two networks with given gradients, ours beside torch's class of
the same rule with foreach=True. The rows take turns; a ratio is the median over rounds of CPU time.

    tiny    MLP 32-64-4: all overhead
    mlp     MLP 784-256-128-10: memory

Second order: CPU seconds until the training MSE is at most 1e-6, from the same weights, tanh, one thread.

    1-20-1    2,000 points of sin 3x
    10-50-1   2,000 points of a network 10-10-1

    levenberg-marquardt   through preceptor.train, stopped by a callback; float32
    l-bfgs, bfgs          the same way
    scipy-lm              scipy.optimize.least_squares(method="lm") as it comes, with differences; float64
    scipy-lm, exact J     the same with the Jacobian written by hand in NumPy
    adam                  a plain loop with fused Adam at three rates; batches of 100 on the large
                          net, full batches on the small one

A row that does not arrive within --limit seconds is shown as longer than that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import torch
from torch import Tensor, nn

import preceptor
from _measure import Clock, interleave, ratio
from preceptor import catalogue

GOAL = 1e-6
STEPS = 300
SIZES = {"tiny": (32, 64, 4), "mlp": (784, 256, 128, 10)}
PEERS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {  # ours with options, torch's with options
    "sgd": ({}, "SGD", {}),
    "momentum": ({}, "SGD", {"momentum": 0.9}),
    "momentum, lr inside": ({"lr_inside": True}, "SGD", {"momentum": 0.9}),
    "nesterov": ({}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "nesterov-look-ahead": ({}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ({}, "Adagrad", {}),
    "adagrad, eps inside": ({"eps_inside": True}, "Adagrad", {}),
    "rmsprop": ({}, "RMSprop", {}),
    "rmsprop, eps inside": ({"eps_inside": True}, "RMSprop", {}),
    "adadelta": ({}, "Adadelta", {}),
    "rprop": ({}, "Rprop", {}),
    "adam": ({}, "Adam", {}),
    "adam, eps inside": ({"eps_inside": True}, "Adam", {}),
    "adam-uncorrected": ({}, "Adam", {}),
    "amsgrad": ({}, "Adam", {"amsgrad": True}),
    "adamw": ({}, "AdamW", {}),
    "nadam": ({}, "NAdam", {}),
    "radam": ({}, "RAdam", {}),
    "adamax": ({}, "Adamax", {}),
}


def parameters(sizes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for a, b in pairwise(sizes):
        for shape in ((b, a), (b,)):
            p = torch.randn(shape, generator=generator).requires_grad_()
            p.grad = torch.randn(shape, generator=generator)
            made.append(p)
    return made


def stepping(
    make: Callable[[list[Tensor]], torch.optim.Optimizer], sizes: tuple[int, ...], clock: Clock
) -> None:
    optimizer = make(parameters(sizes))

    def closure() -> float:
        return 0.0

    for _ in range(10):
        optimizer.step(closure)
    clock.tick()
    for _ in range(STEPS):
        optimizer.step(closure)
        clock.tick()


def first_order(rounds: int) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    print(f"{'first order':22}" + "".join(f"{size:>10} µs  ratio" for size in SIZES))
    for name, (options, peer, theirs) in PEERS.items():
        row = table[name] = {}
        text = f"{name:22}"
        for size, sizes in SIZES.items():
            ours = catalogue.get(name.partition(",")[0], kind="optimizer", lr=1e-6, **options)
            beside = partial(getattr(torch.optim, peer), lr=1e-6, foreach=True, **theirs)
            timings, _ = interleave(
                {"ours": partial(stepping, ours, sizes), "torch": partial(stepping, beside, sizes)}, rounds
            )
            row[size] = ratio(timings["ours"], timings["torch"]).cpu
            row[f"{size} µs"] = 1e6 * statistics.median(t.cpu for t in timings["ours"])
            text += f"{row[f'{size} µs']:13.1f}{row[size]:7.2f}"
        print(text, flush=True)
    return table


def problem(name: str, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    if name == "1-20-1":
        x = torch.linspace(-1, 1, 2000)[:, None]
        y = torch.sin(3 * x)
    else:
        x = torch.randn(2000, 10)
        with torch.no_grad():
            y = nn.Sequential(nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1))(x)
    sizes = [int(n) for n in name.split("-")]
    return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.Tanh(), nn.Linear(sizes[1], 1)), x, y


class _Arrived(Exception):
    pass


class _Until(preceptor.Callback):
    """Stops a training once its loss has come down to the goal, or time is up."""

    def __init__(self, limit: float) -> None:
        self.limit, self.seconds = limit, float("inf")

    def on_train_begin(self, state: Any) -> None:
        self.start = time.process_time()

    def on_batch_end(self, state: Any) -> None:
        spent = time.process_time() - self.start
        if state.loss <= GOAL:
            self.seconds = spent
        if state.loss <= GOAL or spent > self.limit:
            state.stop = "enough"


def by_preceptor(optimizer: str, model: nn.Module, x: Tensor, y: Tensor, limit: float) -> float:
    until = _Until(limit)
    settings = {"training.watch": False, "training.train_examples": 0, "training.patience": None}
    if (
        optimizer == "levenberg-marquardt"
    ):  # so that it stops where it has arrived, not up to nine steps later
        settings["optimizer.max_iter"] = 1
    preceptor.train(
        model,
        (x, y),
        task="regression",
        optimizer=optimizer,
        val=0,
        test=0,
        epochs=100_000,
        out=False,
        callbacks=[until],
        settings=settings,
    )
    return until.seconds


def by_scipy(exact: bool, model: nn.Module, x: Tensor, y: Tensor, limit: float) -> float:
    X, Y = x.double().numpy(), y.double().numpy()[:, 0]
    shapes = [p.shape for p in model.parameters()]
    cuts = np.cumsum([p.numel() for p in model.parameters()])[:-1]

    def layers(v: np.ndarray) -> tuple[np.ndarray, ...]:
        W, b, u, c = (part.reshape(s) for part, s in zip(np.split(v, cuts), shapes, strict=True))
        return np.tanh(X @ W.T + b), u[0], c

    def residuals(v: np.ndarray) -> np.ndarray:
        h, u, c = layers(v)
        r = h @ u + c[0] - Y
        if np.mean(r * r) <= GOAL or time.process_time() - start > limit:
            raise _Arrived
        return r

    def derivatives(v: np.ndarray) -> np.ndarray:
        h, u, _ = layers(v)
        d = (1 - h * h) * u
        return np.concatenate(
            [(d[:, :, None] * X[:, None, :]).reshape(len(X), -1), d, h, np.ones((len(X), 1))], 1
        )

    first = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).double().numpy()
    start = time.process_time()
    try:
        scipy.optimize.least_squares(
            residuals,
            first,
            derivatives if exact else "2-point",
            method="lm",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=10**6,
        )
    except _Arrived:
        spent = time.process_time() - start
        return spent if spent <= limit else float("inf")
    return float("inf")  # it stopped by itself, elsewhere


def by_adam(model: nn.Module, x: Tensor, y: Tensor, limit: float, lr: float, batch: int | None) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    batch = batch or len(x)
    start = time.process_time()
    while time.process_time() - start < limit:
        order = torch.randperm(len(x)) if batch < len(x) else None
        for at in range(0, len(x), batch):
            rows = slice(None) if order is None else order[at : at + batch]
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        if loss.item() <= GOAL:
            with torch.no_grad():
                if nn.functional.mse_loss(model(x), y).item() <= GOAL:
                    return time.process_time() - start
    return float("inf")


def second_order(seeds: int, limit: float) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for name in ("1-20-1", "10-50-1"):
        batch = None if name == "1-20-1" else 100
        rows: dict[str, Callable[..., float]] = {
            "levenberg-marquardt": partial(by_preceptor, "levenberg-marquardt"),
            "bfgs": partial(by_preceptor, "bfgs"),
            "l-bfgs": partial(by_preceptor, "l-bfgs"),
            "scipy-lm": partial(by_scipy, False),
            "scipy-lm, exact J": partial(by_scipy, True),
            **{f"adam {lr:g}": partial(by_adam, lr=lr, batch=batch) for lr in (1e-3, 3e-3, 1e-2)},
        }
        by_preceptor("l-bfgs", *problem(name, 0), 0.1)  # imports and first calls
        seconds = {
            row: statistics.median(measure(*problem(name, seed), limit) for seed in range(seeds))
            for row, measure in rows.items()
        }
        ours = seconds["levenberg-marquardt"]
        table[name] = seconds
        print(f"\n{name:22}{'seconds':>10}{'times ours':>12}")
        for row, value in seconds.items():
            shown = f"{value:10.3f}{value / ours:12.1f}" if value <= limit else f"{'> ' + str(limit):>10}"
            print(f"{row:22}{shown}", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=["first", "second", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds a row may take for one seed")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {}
    if given.part != "second":
        report["first order"] = first_order(given.rounds)
    if given.part != "first":
        report["second order"] = second_order(given.seeds, given.limit)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
