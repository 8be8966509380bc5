"""What a second process costs and brings, beside what the formula foretells.

    python benchmarks/scaling.py                       # both parts; some five minutes on two free cores
    python benchmarks/scaling.py --sizes 10 16 --networks tiny --steps 20 --rounds 3 --json scaling.json

Starts its own processes with torchrun; nothing else should run on the cores that they use.

all-reduce   seconds until two processes hold the sum of a float32 tensor, by its size, over gloo; the
             median of --rounds turns. Bandwidth and delay are fitted: t = 2 latency + size / bandwidth
steps        seconds of a training step (forward, backward, Adam) of networks of several sizes with one batch
             of --batch examples: in one process while the other waits, in two that share the batch (data
             parallel), and in two that hold the weights in parts (fully sharded), one thread each; the median
             of --rounds turns of --steps steps. Foretold: half the time of one process, and an all-reduce
             that is not hidden; fully sharded half as much again

The figures are of gloo on one machine: two processes share its memory, and with it the bandwidth.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

from preceptor import catalogue

NETWORKS = {
    "tiny": (64, 64, 10),
    "small": (784, 256, 128, 10),
    "wide": (784, 2048, 2048, 10),
    "large": (784, 4096, 4096, 4096, 10),
}


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    widths = NETWORKS[name]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def steps(model: nn.Module, widths: tuple[int, ...], examples: int, count: int) -> float:
    """Return the seconds of a step, after a few that do not count."""
    x, y = torch.randn(examples, widths[0]), torch.randint(widths[-1], (examples,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for at in range(count + 3):
        if at == 3:
            began = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return (time.perf_counter() - began) / count


def reduced(size: int, count: int) -> float:
    """Return the seconds of an all-reduce of so many bytes."""
    tensor = torch.ones(max(size // 4, 1))
    for at in range(count + 2):
        if at == 2:
            dist.barrier()
            began = time.perf_counter()
        dist.all_reduce(tensor)
    return (time.perf_counter() - began) / count


def work(plan: dict[str, Any]) -> dict[str, Any]:
    """Measure in one of several processes, each with a thread of its own."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"all-reduce": {}, "steps": {}}
    for power in plan["sizes"]:
        times = [reduced(2**power, max(3, 2**24 // 2**power // 4)) for _ in range(plan["rounds"])]
        found["all-reduce"][2**power] = statistics.median(times)
    for name in plan["networks"]:
        widths, batch = NETWORKS[name], plan["batch"]
        times = {way: [] for way in ("one", "parallel", "fully")}
        for _ in range(plan["rounds"]):
            dist.barrier()
            if dist.get_rank() == 0:  # the other one waits: both cores are free
                times["one"].append(steps(make(name), widths, batch, plan["steps"]))
            dist.barrier()
            parallel = DistributedDataParallel(make(name))
            times["parallel"].append(steps(parallel, widths, batch // 2, plan["steps"]))
            cut = make(name)
            mesh = init_device_mesh("cpu", (2,))
            for layer in cut:
                if isinstance(layer, nn.Linear):
                    fully_shard(layer, mesh=mesh)
            fully_shard(cut, mesh=mesh)
            times["fully"].append(steps(cut, widths, batch // 2, plan["steps"]))
        size = 4 * sum(p.numel() for p in make(name).parameters())
        found["steps"][name] = {"bytes": size} | {w: statistics.median(t) for w, t in times.items() if t}
    dist.destroy_process_group()
    return found


def fitted(times: dict[str, float]) -> tuple[float, float]:
    """Return bandwidth and latency: least squares of relative errors, neither below zero."""
    sizes = np.array([float(size) for size in times])
    seconds = np.array(list(times.values()))
    design = np.stack([sizes, np.full_like(sizes, 2.0)], axis=1) / seconds[:, None]  # n = 2: t = size/b + 2 l
    from scipy.optimize import nnls

    per_byte, latency = nnls(design, np.ones_like(seconds))[0]
    return 1 / max(per_byte, 1e-15), float(latency)


def show(found: dict[str, Any]) -> None:
    bandwidth, latency = fitted(found["all-reduce"])
    print(f"all-reduce   bandwidth {bandwidth / 1e9:.3f} GB/s   latency {latency * 1e6:.0f} µs")
    for size, seconds in found["all-reduce"].items():
        said = catalogue.get("all-reduce-time", float(size), devices=2, bandwidth=bandwidth, latency=latency)
        times = f"{seconds * 1e3:9.3f} ms   foretold {said * 1e3:9.3f} ms"
        print(f"  {int(size):>12,} B   {times}   {said / seconds:.2f}")
    print("steps        one process   data parallel (foretold)   fully sharded (foretold)   speed-up")
    for name, row in found["steps"].items():
        line = f"  {name:<10} {row['one'] * 1e3:9.2f} ms"
        for way, shard in (("parallel", "none"), ("fully", "fully")):
            said = catalogue.get(
                "data-parallel-time", row["one"], float(row["bytes"]),
                devices=2, bandwidth=bandwidth, latency=latency, shard=shard,
            )  # fmt: skip
            line += f"   {row[way] * 1e3:9.2f} ms ({said.seconds * 1e3:9.2f})"
        print(f"{line}   {row['one'] / row['parallel']:.2f} / {row['one'] / row['fully']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 12, 14, 16, 18, 20, 22, 24, 26])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    if "WORLD_SIZE" in os.environ:
        found = work(vars(given))
        if os.environ["RANK"] == "0":
            given.json.write_text(json.dumps(found))
        return
    place = given.json or Path("scaling.json")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        __file__,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    own = [argument for argument in sys.argv[1:] if argument != "--json" and argument != str(given.json)]
    subprocess.run([*command, *own, "--json", str(place)], check=True, env=environment)
    show(json.loads(place.read_text()))


if __name__ == "__main__":
    main()
