"""One training that is watched and not watched by turns: what the watch adds to a step, and to the beginning.

Two processes, or two runs, differ by several percent by where their memory happens to lie, and a machine's
speed drifts: within one run of one program both are the same. After a beginning that is watched throughout,
slices of some steps alternate; the watch keeps its state while it looks away, and its clock stands still.

The time of looks is known from the watch's own clock and added as it is. What is left differs by what the
machine does beside, now and then by much: of the differences between neighbouring slices the fifth at
either end is left out (a trimmed mean, with the error of Yuen, 1974).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import _watched
from preceptor.observation import governor
from preceptor.observation.watch import Watch

__all__ = ["Added", "toggled"]

EARLY = 160  # steps until regular ones go by unheard, and early looks are over
SLICE = 0.4  # seconds
TRIMMED = 0.2  # of the differences, at either end
SETTLING = 0.1  # of a slice, not counted: a switch changes torch's classes, code is specialised anew


@dataclass(frozen=True)
class Added:
    """What a watch adds.

    Attributes:
        steady: CPU time of watched slices over that of the others, looks included.
        error: standard error of it.
        early: seconds that the beginning took longer.
        held: bytes of record and graphs at the end.
        step: seconds of CPU of an unwatched step.
    """

    steady: float
    error: float
    early: float
    held: int
    step: float

    def within(self, seconds: float) -> float:
        """Return the ratio for a whole training that takes so many seconds unwatched."""
        return self.steady + self.early / seconds


@dataclass
class _Turns:
    """Switches the watch on and off between steps, and notes what each slice took."""

    watch: Watch
    length: int
    settling: int
    slices: list[tuple[bool, float, float]] = field(default_factory=list)
    step: int = 0
    since: int = 0
    on: bool = True
    away: float = 0.0
    began: float = 0.0
    left: float = 0.0
    looked: float = 0.0

    def clock(self) -> float:
        """CPU time without that of the slices in which the watch looks away."""
        return time.process_time() - self.away

    def __call__(self) -> None:
        now = time.process_time()
        self.since += 1
        if self.step == 0 or (self.slices and self.since == self.settling):
            self.began, self.looked = now, self.looks
        if self.since >= (self.length + self.settling if self.slices else EARLY + 1):
            self.slices.append((self.on, now - self.began, self.looks - self.looked))
            if self.on:
                self.watch.pause()
            else:
                self.watch.start()
                self.away += time.process_time() - self.left
            self.on, self.since = not self.on, 0
            self.began = self.left = time.process_time()
            self.looked = self.looks
        self.step += 1

    @property
    def looks(self) -> float:
        """Seconds that looking has taken so far."""
        return self.watch._looks.governor.spent


@contextmanager
def _called(turns: _Turns) -> Iterator[None]:
    """Let the program's loader and the governor's clock go through ``turns``."""
    original: Any = governor.time
    governor.time = SimpleNamespace(perf_counter=turns.clock)  # type: ignore[assignment]
    _watched.between.append(turns)
    try:
        yield
    finally:
        _watched.between.remove(turns)
        governor.time = original


def toggled(name: str, level: str, seconds: float, per_step: float) -> Added:
    """Run a program for so many seconds beyond its beginning, watched and unwatched by turns.

    Arguments:
        name: of `_watched.PROGRAMS`.
        level: of the watch.
        seconds: of CPU, unwatched.
        per_step: seconds that a step takes, roughly.
    """
    length = max(2, round(SLICE / per_step))
    watch = Watch(level)
    settling = max(3, round(SETTLING * length))
    turns = _Turns(watch, length, settling)
    with _called(turns), watch:
        _watched.PROGRAMS[name](EARLY + (length + settling) * max(8, round(seconds / per_step / length)))
    (_, early, _), *rest = turns.slices
    off = [spent for on, spent, _ in rest if not on]
    on = [(spent - looks, looks) for on, spent, looks in rest if on]
    pairs = list(zip(off, on, strict=False))
    mean = statistics.median(plain for plain, _ in pairs)
    between, error = trimmed([(watched - plain) / mean for plain, (watched, _) in pairs])
    step = mean / length
    return Added(
        1 + between + statistics.fmean(looks for _, (_, looks) in pairs) / mean,
        error,
        early - EARLY * step,
        held_by(watch),
        step,
    )


def trimmed(values: list[float]) -> tuple[float, float]:
    """Return the mean without the largest and smallest values, and its standard error."""
    ordered = sorted(values)
    count, cut = len(ordered), int(TRIMMED * len(ordered))
    kept = ordered[cut : count - cut]
    drawn_in = [min(max(value, kept[0]), kept[-1]) for value in ordered]
    return statistics.fmean(kept), statistics.stdev(drawn_in) / ((1 - 2 * TRIMMED) * math.sqrt(count))


def held_by(watch: Watch) -> int:
    """Return the bytes of the record and of all tensors that the graphs keep, each memory once."""
    tensors = [leaf.tensor for graph in watch.graphs.values() for leaf in graph.stored.values()]
    tensors += [bits for graph in watch.graphs.values() for bits in graph.loss_bits.values()]
    storages = [t.untyped_storage() for t in tensors if t is not None]
    return watch.record.nbytes + sum({s.data_ptr(): s.nbytes() for s in storages}.values())
