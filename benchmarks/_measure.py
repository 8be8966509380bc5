"""Interleaved timing: candidates take turns, so that what else the machine does falls on all of them alike.

A candidate is a function that does some work and calls `Clock.tick` after each unit of it (an epoch, say).
What lies before the first tick (set-up, imports, first calls) is not counted. Candidates are compared by the
median over rounds of the ratio to the baseline of the same round: a slow minute moves both sides of a ratio.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Clock", "Ratio", "Timing", "interleave", "ratio", "settled"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Timing:
    """Seconds of CPU (all threads of the process) and of wall clock for one unit of work."""

    cpu: float
    wall: float


class Clock:
    """Notes the time at each tick; the first tick starts the measurement."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Note the end of one unit of work."""
        self._ticks.append((time.process_time(), time.perf_counter()))

    def per_unit(self) -> Timing:
        """Return the mean time of the units after the first tick."""
        units = len(self._ticks) - 1
        if units < 1:
            raise ValueError(f"a measurement needs at least 2 ticks, got {len(self._ticks)}")
        (cpu, wall), (cpu_end, wall_end) = self._ticks[0], self._ticks[-1]
        return Timing((cpu_end - cpu) / units, (wall_end - wall) / units)


@contextmanager
def settled() -> Iterator[None]:
    """Keep older objects out of sight of the garbage collector, which stays on for what the block makes.

    Otherwise every candidate would pay for walking over the modules that the heaviest of them imported.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def interleave(
    candidates: Mapping[str, Callable[[Clock], _T]], rounds: int
) -> tuple[dict[str, list[Timing]], dict[str, _T]]:
    """Time the candidates in turn, ``rounds`` times, after one untimed turn; a round starts one further on.

    Returns:
        the timings per unit of each candidate, one a round, and what each returned in its untimed turn.
    """
    names = list(candidates)
    results = {name: candidates[name](Clock()) for name in names}
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            clock = Clock()
            with settled():
                candidates[name](clock)
            timings[name].append(clock.per_unit())
    return timings, results


@dataclass(frozen=True)
class Ratio:
    """The median over rounds of a candidate's time over the baseline's; quartiles of the CPU ratio."""

    cpu: float
    low: float
    high: float
    wall: float


def ratio(candidate: list[Timing], baseline: list[Timing]) -> Ratio:
    """Compare two lists of timings round by round."""
    pairs = list(zip(candidate, baseline, strict=True))
    cpu = [a.cpu / b.cpu for a, b in pairs]
    low, middle, high = statistics.quantiles(cpu, n=4, method="inclusive") if len(cpu) > 1 else cpu * 3
    return Ratio(middle, low, high, statistics.median(a.wall / b.wall for a, b in pairs))
