"""Training speed of Preceptor and of other frameworks beside a plain PyTorch loop, all in one run.

    pip install 'preceptor[bench]'
    python benchmarks/loop.py                      # everything; some six minutes on one core
    python benchmarks/loop.py --workload tiny --only preceptor --only optimised --rounds 15 --json loop.json

Every row does the same work from the same weights: shuffle, forward, cross entropy, backward, Adam (lr 1e-3),
and at the end of each epoch a validation pass with loss and accuracy. Data are synthetic and in memory,
arithmetic is eager float32, on one thread unless --threads says otherwise. The rows take turns; a turn times
--epochs epochs of each, its first epoch and all set-up left out. Optimizer steps are counted and checked.

Workloads:
    tiny    MLP 32-64-4, batch 64, 128 steps an epoch: all overhead
    mlp     MLP 784-256-128-10, batch 128, 100 steps an epoch: matrix products
    lenet   LeNet-5 (ReLU, max pooling) on 1×28×28, batch 64, 60 steps an epoch: convolutions

Rows:
    plain           by hand, as one writes it first: DataLoader(TensorDataset, shuffle=True), torch.optim.Adam
                    as it comes, loss.item() at every step; the 1.00 of every ratio
    optimised       by hand, all that public calls give: batches gathered in blocks that fit the cache, fused
                    Adam, gradients set to None, losses kept as tensors, validation in batches of 256
    channels-last   optimised, with weights in the channels-last layout (only where there are convolutions)
    bound           the faster of these two, past the public calls: the fused Adam operator and the autograd
                    engine called directly, unseen by any hook or profiler; shows what the wrappers cost
    preceptor       preceptor.train, doing what the others do: no run folder, no measuring on training data
    preceptor-full  preceptor.train as it comes: training measured like validation, run folder, checkpoints
    lightning       Trainer without logger, checkpoint, bar, summary and sanity check
    skorch          NeuralNetClassifier without printing, validated on a fixed split
    ignite          supervised trainer and evaluator with Loss and Accuracy
    keras           Keras 3 on torch, compile(jit_compile=False), fit(verbose=0)

Columns: CPU time relative to plain, with its quartiles over the rounds; wall time relative to plain; CPU time
relative to the best row by hand without private calls; microseconds of CPU a step, validation shared out;
validation loss and accuracy after the last epoch.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _by_hand import bound_loop, hand_loop, plain_loop
from _frameworks import ignite_loop, keras_loop, lightning_loop, preceptor_loop, skorch_loop
from _measure import Clock, Timing, interleave, ratio
from _workloads import WORKLOADS, Outcome, Workload

Row = Callable[[Workload, int, Clock], Outcome]

BY_HAND = ("optimised", "channels-last")
ROWS: dict[str, tuple[Row, str]] = {  # the function, and the module that it needs
    "plain": (plain_loop, "torch"),
    "optimised": (hand_loop, "torch"),
    "channels-last": (partial(hand_loop, channels_last=True), "torch"),
    "bound": (bound_loop, "torch"),
    "preceptor": (preceptor_loop, "preceptor"),
    "preceptor-full": (partial(preceptor_loop, lean=False), "preceptor"),
    "lightning": (lightning_loop, "lightning"),
    "skorch": (skorch_loop, "skorch"),
    "ignite": (ignite_loop, "ignite"),
    "keras": (keras_loop, "keras"),
}


def compare(work: Workload, names: list[str], rounds: int, epochs: int) -> dict[str, dict[str, Any]]:
    """Time the rows on one workload; a row whose package is missing holds only its status."""
    present = {n: ROWS[n][0] for n in names if importlib.util.find_spec(ROWS[n][1])}
    if not work.convolutional:
        present.pop("channels-last", None)
    candidates = {n: partial(row, work, epochs + 1) for n, row in present.items()}
    timings, outcomes = interleave(candidates, rounds)
    for name, outcome in outcomes.items():
        if outcome.steps != work.steps * (epochs + 1):
            raise RuntimeError(f"{name} took {outcome.steps} steps, expected {work.steps * (epochs + 1)}")
    hand = [n for n in BY_HAND if n in timings]
    best = min(hand, key=lambda n: statistics.median(t.cpu for t in timings[n])) if hand else None
    report: dict[str, dict[str, Any]] = {}
    for name in names:
        if name in timings:
            report[name] = _figures(timings[name], timings["plain"], work.steps) | asdict(outcomes[name])
            report[name]["to_best_by_hand"] = ratio(timings[name], timings[best]).cpu if best else None
        elif name != "channels-last":
            report[name] = {"status": "not installed"}
    return report


def _figures(own: list[Timing], plain: list[Timing], steps: int) -> dict[str, Any]:
    to_plain = ratio(own, plain)
    return {
        "status": "measured",
        "to_plain": asdict(to_plain),
        "throughput": 1 / to_plain.cpu,
        "cpu_us_per_step": statistics.median(t.cpu for t in own) / steps * 1e6,
        "wall_us_per_step": statistics.median(t.wall for t in own) / steps * 1e6,
    }


def show(work: Workload, report: dict[str, dict[str, Any]]) -> None:
    print(f"\n{work.name}: batch {work.batch}, {work.steps} steps an epoch")
    head = ("CPU/plain", "quartiles", "wall/plain", "CPU/best hand", "µs/step", "val loss", "val acc")
    print(f"  {'':<15}" + "".join(f"{h:>14}" for h in head))
    for name, r in report.items():
        if r["status"] != "measured":
            print(f"  {name:<15}{r['status']:>14}")
            continue
        to_plain, to_hand = r["to_plain"], r["to_best_by_hand"]
        cells = [
            f"{to_plain['cpu']:.3f}",
            f"{to_plain['low']:.2f}–{to_plain['high']:.2f}",
            f"{to_plain['wall']:.3f}",
            "–" if to_hand is None else f"{to_hand:.3f}",
            f"{r['cpu_us_per_step']:.0f}",
            f"{r['val_loss']:.4f}",
            f"{r['val_accuracy']:.3f}",
        ]
        print(f"  {name:<15}" + "".join(f"{c:>14}" for c in cells), flush=True)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="repeatable; all by default")
    parser.add_argument("--only", action="append", choices=ROWS, help="repeatable; plain is always measured")
    parser.add_argument("--rounds", type=_count, default=7, help="turns of every row (7)")
    parser.add_argument("--epochs", type=_count, default=3, help="timed epochs a turn (3)")
    parser.add_argument("--threads", type=_count, default=1, help="torch's threads (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    rounds, epochs, threads = arguments.rounds, arguments.epochs, arguments.threads
    names = [n for n in ROWS if n == "plain" or not arguments.only or n in arguments.only]
    print(f"torch {torch.__version__}, {threads} thread(s), {rounds} rounds of {epochs} epochs")
    results = {}
    for name in arguments.workload or WORKLOADS:
        results[name] = compare(WORKLOADS[name], names, rounds, epochs)
        show(WORKLOADS[name], results[name])
    if arguments.json:
        settings = {"rounds": rounds, "epochs": epochs, "threads": threads}
        versions = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": platform.machine(),
        }
        document = {"settings": settings, "versions": versions, "workloads": results}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
