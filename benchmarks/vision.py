"""Images per second of training beside a loop by hand and other frameworks; what half precision is worth.

    pip install 'preceptor[bench]'
    python benchmarks/vision.py                               # everything; some fifteen minutes on one core
    python benchmarks/vision.py --part precision --net lenet --rounds 2 --epochs 1

Every row does the same work: shuffle, forward, cross-entropy, backward, Adam (lr 1e-3), and at the end of
each epoch a validation pass over a fifth as many images. Data are synthetic and in memory. The rows take
turns; a turn times --epochs epochs of each, its first epoch and all set-up left out.

Networks:
    lenet       LeNet-5 on 1×28×28, batch 64
    resnet-20   of the catalogue, on 3×32×32, batch 64
    vgg         six convolutions 3×3 of 32 to 128 channels and a hidden layer of 256, on 3×32×32, batch 64
    wide-mlp    784-2048-2048-10, batch 512 (precision alone)
    lstm        64 inputs, 256 units, 50 steps, batch 64 (precision alone)

Part "frameworks", in float32; ratios are to `optimised`, above 1 is faster:
    optimised   by hand: batches gathered in blocks that fit the cache, channels-last weights, fused Adam
    preceptor   preceptor.train, doing what the others do
    lightning   Trainer without logger, checkpoint, bar, summary and sanity check
    keras       Keras 3 on torch, not compiled

Part "precision"; ratios are to `plain`:
    plain       the loop of the tutorials, in float32
    float32     preceptor.train with precision=fp32, weights contiguous
    measured    preceptor.train with precision=auto: what was chosen is printed, too
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch

from _by_hand import hand_loop, plain_loop
from _frameworks import keras_loop, lightning_loop, preceptor_loop
from _measure import Clock, interleave, ratio
from _vision import NETS, VISION
from _workloads import Outcome, Workload

Row = Callable[[Workload, int, Clock], Outcome]

FRAMEWORKS: dict[str, tuple[Row, str]] = {  # the function, and the module that it needs; the baseline first
    "optimised": (partial(hand_loop, channels_last=True), "torch"),
    "preceptor": (preceptor_loop, "preceptor"),
    "lightning": (lightning_loop, "lightning"),
    "keras": (keras_loop, "keras"),
}
PLAIN = {"training.precision": "fp32", "training.memory_format": "contiguous"}


def precision_rows(said: dict[str, str]) -> dict[str, tuple[Row, str]]:
    """Return the rows of that part; what is measured and chosen is noted in ``said``."""

    def tell(run: Any) -> None:
        said["measured"] = str(run.predictor.speed)

    measured = partial(preceptor_loop, settings={"training.precision": "auto"}, tell=tell)
    return {
        "plain": (plain_loop, "torch"),
        "float32": (partial(preceptor_loop, settings=PLAIN), "preceptor"),
        "measured": (measured, "preceptor"),
    }


def compare(work: Workload, rows: dict[str, tuple[Row, str]], rounds: int, epochs: int) -> dict[str, Any]:
    """Time the rows on one network; those whose package is missing are left out."""
    present = {name: row for name, (row, module) in rows.items() if importlib.util.find_spec(module)}
    timings, outcomes = interleave({n: partial(r, work, epochs + 1) for n, r in present.items()}, rounds)
    baseline = next(iter(present))
    images = work.batch * work.steps
    report = {}
    for name, outcome in outcomes.items():
        if outcome.steps != work.steps * (epochs + 1):
            raise RuntimeError(f"{name} took {outcome.steps} steps, expected {work.steps * (epochs + 1)}")
        to_baseline = ratio(timings[baseline], timings[name])  # of times, the other way round: of speeds
        report[name] = {
            "images_per_second": images / statistics.median(t.cpu for t in timings[name]),
            "speed": asdict(to_baseline),
            **asdict(outcome),
        }
    return report


def show(title: str, report: dict[str, Any], said: dict[str, str]) -> None:
    print(f"\n{title}")
    print(f"  {'':<12}{'images/s':>10}{'ratio':>8}{'quartiles':>14}{'wall':>8}{'val loss':>10}")
    for name, r in report.items():
        speed = r["speed"]
        quartiles = f"{speed['low']:.2f}–{speed['high']:.2f}"
        print(
            f"  {name:<12}{r['images_per_second']:>10,.0f}{speed['cpu']:>8.3f}{quartiles:>14}"
            f"{speed['wall']:>8.3f}{r['val_loss']:>10.4f}  {said.get(name, '')}",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=("frameworks", "precision"), help="both by default")
    parser.add_argument("--net", action="append", choices=NETS, help="repeatable; all by default")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every row (7)")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs a turn (3)")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    rounds, epochs = arguments.rounds, arguments.epochs
    print(f"torch {torch.__version__}, {arguments.threads} thread(s), {rounds} rounds of {epochs} epochs")
    results: dict[str, Any] = {}
    for part, nets in (("frameworks", VISION), ("precision", NETS)):
        for name, work in nets.items():
            if arguments.part in (None, part) and (not arguments.net or name in arguments.net):
                said: dict[str, str] = {}
                rows = FRAMEWORKS if part == "frameworks" else precision_rows(said)
                found = compare(work, rows, rounds, epochs)
                results[f"{part}: {name}"] = {"rows": found, "said": said}
                show(f"{part}: {name}, batch {work.batch}, {work.steps} steps an epoch", found, said)
    if arguments.json:
        settings = {"rounds": rounds, "epochs": epochs, "threads": arguments.threads}
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        document = {"settings": settings, "versions": versions, "results": results}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
