"""How near training comes to what the machine can do: operations and bytes against measured peaks.

    python benchmarks/limits.py                       # a few minutes on one core
    python benchmarks/limits.py --net lenet --json limits.json

The peaks are measured first, on as many threads as --threads says: operations a second of matrix products of
2048 × 2048 (the best of several), bytes a second of copying an array that no cache holds (read and written).

A step's operations are those of the products and convolutions of its forward and backward pass, as torch's
FlopCounterMode counts them. Its bytes are the least that must move if no cache keeps anything between the
parts of a step: weights read forward and backward, gradients written; by Adam weights, gradients and both
moments read, and three of them written; outputs of the layers written, read behind, and their gradients
likewise. The limit is the longer of the two times; the share is that time beside the measured step. A network
that fits the cache can pass the limit of bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from _by_hand import hand_loop
from _frameworks import preceptor_loop
from _measure import interleave
from _vision import NETS
from _workloads import WORKLOADS, Workload

WORKS = {"mlp": WORKLOADS["mlp"], **NETS}
MOVED = 10  # per weight: read twice, its gradient written; Adam reads four numbers and writes three
TOUCHED = 4  # per number that a layer gives: written, read behind, its gradient written and read


def peaks() -> tuple[float, float]:
    """Return operations and bytes a second."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    source, target = torch.zeros(1 << 26), torch.zeros(1 << 26)

    def best(call: Any) -> float:
        call()
        times = []
        for _ in range(7):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return min(times)

    return 2 * 2048**3 / best(lambda: a @ b), 2 * 4 * source.numel() / best(lambda: target.copy_(source))


def demands(work: Workload) -> tuple[int, int]:
    """Return operations and least bytes of a step."""
    model, (x, y, _, _) = work.model(), work.data()
    x, y = x[: work.batch], y[: work.batch]
    given: list[int] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor) and not list(module.children()):
            given.append(first.numel())

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(x), y).backward()
    for hook in hooks:
        hook.remove()
    weights = sum(p.numel() for p in model.parameters())
    return counter.get_total_flops(), 4 * (MOVED * weights + TOUCHED * sum(given) + x.numel())


def compare(work: Workload, operations: float, bytes_: float, rounds: int) -> dict[str, float]:
    """Time a step by hand and by Preceptor, beside the limits."""
    needed, moved = demands(work)
    lasts = work.convolutional
    timings, _ = interleave(
        {
            "hand": lambda clock: hand_loop(work, 3, clock, channels_last=lasts),
            "preceptor": lambda clock: preceptor_loop(work, 3, clock),
        },
        rounds,
    )
    wall = {name: statistics.median(t.wall for t in found) / work.steps for name, found in timings.items()}
    return {
        "operations": needed, "bytes": moved,
        "by_operations": needed / operations, "by_bytes": moved / bytes_,
        **wall,
        **{f"share_{name}": max(needed / operations, moved / bytes_) / wall[name] for name in wall},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--net", action="append", choices=WORKS, help="repeatable; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(given.threads)
    operations, moved = peaks()
    print(f"peaks: {operations / 1e9:.0f} G operations/s, {moved / 1e9:.1f} GB/s, {given.threads} thread(s)")
    print(
        f"{'':<11}{'Mop':>9}{'MB':>8}{'limit ms':>10}{'hand ms':>9}{'ours ms':>9}{'share':>8}{'by hand':>9}"
    )
    nets = {}
    for name in given.net or WORKS:
        nets[name] = one = compare(WORKS[name], operations, moved, given.rounds)
        limit = max(one["by_operations"], one["by_bytes"])
        print(
            f"{name:<11}{one['operations'] / 1e6:>9.1f}{one['bytes'] / 1e6:>8.1f}{1e3 * limit:>10.3f}"
            f"{1e3 * one['hand']:>9.3f}{1e3 * one['preceptor']:>9.3f}"
            f"{one['share_preceptor']:>8.2f}{one['share_hand']:>9.2f}",
            flush=True,
        )
    if given.json:
        document = {"operations_per_second": operations, "bytes_per_second": moved, "nets": nets}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
