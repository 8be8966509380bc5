"""What several devices cost and bring: time to agree, time of a step, memory on each."""

from __future__ import annotations

from typing import NamedTuple

from preceptor.catalogue._checks import check_choice, check_count, check_number
from preceptor.catalogue._registry import registered

__all__ = ["DeviceMemory", "StepTime", "all_reduce_time", "data_parallel_time", "device_memory"]


@registered(
    kind="calculator",
    name="all-reduce-time",
    aliases=("ring-all-reduce", "allreduce-cost"),
    formula="2 (n − 1)/n · size / bandwidth + 2 (n − 1) latency: in a ring each of n devices sends n − 1 "
    "pieces of size/n to add up, and n − 1 more to hand round",
    shapes="bytes, devices, bytes a second, seconds → seconds",
    when="to see what it costs that all devices have the same gradient after a step",
    pitfalls="measured bandwidth, not the one on the box; for small tensors the latency is all",
    source="Patarasuk and Yuan, Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations, 2009",
    example=">>> get('all-reduce-time', 100e6, devices=2, bandwidth=1e9)\n0.1\n"
    ">>> round(get('all-reduce-time', 100e6, devices=8, bandwidth=1e9), 3)\n0.175",
)
def all_reduce_time(size: float, devices: int = 2, bandwidth: float = 1e9, latency: float = 0.0) -> float:
    """Seconds until all devices hold the sum of a tensor of each."""
    owner, n = "all-reduce-time", check_count("all-reduce-time", "devices", devices)
    sent = check_number(owner, "size", size, 0.0) / check_number(owner, "bandwidth", bandwidth, 1e-30)
    return 2 * (n - 1) * (sent / n + check_number(owner, "latency", latency, 0.0))


class StepTime(NamedTuple):
    """Seconds of a step on several devices, what of them is communication, and what the devices bring."""

    seconds: float
    communication: float
    speedup: float
    efficiency: float


@registered(
    kind="calculator",
    name="data-parallel-time",
    aliases=("data-parallel-step", "scaling-model", "ddp-time"),
    formula="t(n) = compute / n + (1 − overlap) · all-reduce-time; speedup = compute / t(n), efficiency = "
    "speedup / n; shard 'fully': 3/2 of the communication, as weights are gathered twice and gradients "
    "scattered once",
    shapes="seconds of the step on one device, bytes of the gradients → (seconds, communication, speedup, "
    "efficiency)",
    when="before a second device is asked for: small networks gain nothing from it",
    pitfalls="the batch of all devices is that of one; what is not divided (reading, evaluating, the "
    "optimizer's step) is left out; devices that share cores or memory are slower than one that has them "
    "alone",
    source="Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, 2020; Zhao "
    "et al., PyTorch FSDP, 2023",
    example=">>> get('data-parallel-time', 1.0, 128e6, devices=4, bandwidth=768e6)\n"
    "StepTime(seconds=0.5, communication=0.25, speedup=2.0, efficiency=0.5)",
)
def data_parallel_time(
    compute: float,
    size: float,
    devices: int = 2,
    bandwidth: float = 1e9,
    latency: float = 0.0,
    overlap: float = 0.0,
    shard: str = "none",
) -> StepTime:
    """Seconds of a step that several devices share."""
    owner = "data-parallel-time"
    alone = check_number(owner, "compute", compute, 1e-30)
    hidden = check_number(owner, "overlap", overlap, 0.0, 1.0)
    rounds = 1.5 if check_choice(owner, "shard", shard, ("none", "fully")) == "fully" else 1.0
    sent = rounds * all_reduce_time(size, devices, bandwidth, latency)
    seconds = alone / devices + (1 - hidden) * sent
    return StepTime(seconds, sent, alone / seconds, alone / seconds / devices)


class DeviceMemory(NamedTuple):
    """Bytes on each device, without activations."""

    weights: float
    gradients: float
    moments: float
    gathered: float
    total: float


@registered(
    kind="calculator",
    name="device-memory",
    aliases=("sharded-memory", "zero-memory"),
    formula="shard 'none': P b each for weights and gradients, P b moments for the optimizer (Adam 2, "
    "momentum 1, SGD 0); 'fully': each divided by n, and the weights of the largest layer, gathered while it "
    "acts",
    shapes="numbers of parameters → bytes (weights, gradients, moments, gathered, total)",
    when="a network does not fit: whether cutting it up over so many devices is enough",
    pitfalls="activations come on top, and are not divided by this: training-memory counts them",
    source="Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, 2020",
    example=">>> get('device-memory', 1_000_000, devices=4, largest=100_000, shard='fully').total\n4400000.0",
)
def device_memory(
    parameters: int, devices: int = 1, largest: int = 0, moments: int = 2, width: int = 4, shard: str = "none"
) -> DeviceMemory:
    """Memory that a training holds on each of several devices."""
    owner = "device-memory"
    n = check_count(owner, "devices", devices)
    whole = float(check_count(owner, "parameters", parameters) * check_count(owner, "width", width))
    cut = check_choice(owner, "shard", shard, ("none", "fully")) == "fully"
    each = whole / n if cut else whole
    kept = check_count(owner, "moments", moments, 0) * each
    gathered = float(check_count(owner, "largest", largest, 0) * width) if cut else 0.0
    return DeviceMemory(each, each, kept, gathered, 2 * each + kept + gathered)
