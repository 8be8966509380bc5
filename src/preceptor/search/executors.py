"""Where trials are trained: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, replace
from time import monotonic
from typing import Any, NamedTuple, Protocol

from preceptor.errors import ConfigError, import_extra
from preceptor.search._work import Given, Work, perform, perform_text

__all__ = ["Executor", "Here", "OnRay", "Processes", "Together", "executor_for"]

_DEATHS = 2  # of the process that trains a trial, before it counts as failed
Ended = tuple[int, dict[str, Any]]


class Executor(Protocol):
    """Trains trials, some at a time."""

    @property
    def free(self) -> bool:
        """Whether it can take another trial."""

    def submit(self, number: int, work: Work) -> None:
        """Take a trial."""

    def ended(self) -> Iterator[Ended]:
        """Wait until a trial has ended; yield the numbers and outcomes of all that have."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *details: object) -> None: ...


class Here:
    """One trial at a time, in this process: the only place for blocks and data given in code."""

    def __init__(self, given: Given | None = None) -> None:
        self.given = given
        self._next: tuple[int, Work] | None = None

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *details: object) -> None:
        self._next = None

    @property
    def free(self) -> bool:
        """Whether nothing is waiting."""
        return self._next is None

    def submit(self, number: int, work: Work) -> None:
        """Take a trial; it is trained when its end is asked for."""
        self._next = number, work

    def ended(self) -> Iterator[Ended]:
        """Train what is waiting."""
        if self._next is not None:
            number, work = self._next
            outcome = perform(work, self.given)
            self._next = None
            yield number, outcome


class Together:
    """Many trials in one process, those that share an architecture in one step; no run folders are written.

    Trials are collected until there are so many, or no more are to come; a kill loses those under way.

    Arguments:
        given: blocks and data that were given in code.
        size: how many at most.
    """

    def __init__(self, given: Given, size: int) -> None:
        self.given, self.size = given, size
        self._waiting: list[tuple[int, Work]] = []

    def __enter__(self) -> Together:
        return self

    def __exit__(self, *details: object) -> None:
        self._waiting = []

    @property
    def free(self) -> bool:
        """Whether there is room for another."""
        return len(self._waiting) < self.size

    def submit(self, number: int, work: Work) -> None:
        """Take a trial."""
        self._waiting.append((number, work))

    def ended(self) -> Iterator[Ended]:
        """Train all that were taken."""
        from preceptor.search._together import perform_all

        taken, self._waiting = self._waiting, []
        outcomes = perform_all([work for _, work in taken], self.given)
        yield from ((number, outcome) for (number, _), outcome in zip(taken, outcomes, strict=True))


class Processes:
    """Several processes of this machine, each with its share of the cores.

    Where one of them dies, its trial goes on from its last checkpoint in a new one; at the second death the
    trial has failed. Each has a pool of its own, so that the others do not die with it. Where this process
    dies, they end at once: who goes on with the search finds nobody training there.

    Arguments:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._idle: list[ProcessPoolExecutor] = []
        self._running: dict[Future[str], _Busy] = {}
        self._deaths: dict[int, int] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *details: object) -> None:
        pools = [*self._idle, *(busy.pool for busy in self._running.values())]
        self._idle, self._running = [], {}
        for pool in pools:
            pool.shutdown(wait=details[0] is None, cancel_futures=True)

    @property
    def free(self) -> bool:
        """Whether a process has nothing to do."""
        return len(self._running) < self.workers

    def submit(self, number: int, work: Work) -> None:
        """Hand a trial to a process."""
        shared = replace(work, threads=max(1, _cores() // self.workers))
        text = json.dumps(asdict(shared), default=list)
        while self._idle:
            pool = self._idle.pop()
            with suppress(BrokenProcessPool):  # it died while it had nothing to do
                self._running[pool.submit(perform_text, text)] = _Busy(pool, number, work, monotonic())
                return
        # Begun anew, not forked: torch's threads do not survive a fork.
        fresh = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, mp_context=fresh, initializer=_end_with_parent)
        self._running[pool.submit(perform_text, text)] = _Busy(pool, number, work, monotonic())

    def ended(self) -> Iterator[Ended]:
        """Wait for the first that ends, and yield all that have; those of a process that died begin again."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in done:
            busy = self._running.pop(future)
            try:
                outcome = json.loads(future.result())
            except BrokenProcessPool:
                busy.pool.shutdown(wait=False)
                yield from self._again(busy)
            else:
                self._idle.append(busy.pool)
                yield busy.number, outcome

    def _again(self, lost: _Busy) -> Iterator[Ended]:
        self._deaths[lost.number] = self._deaths.get(lost.number, 0) + 1
        if self._deaths[lost.number] >= _DEATHS:
            outcome = {"value": None, "status": "failed", "error": "the process that trained it died"}
            yield lost.number, outcome
            return
        seconds = lost.work.seconds
        if seconds is not None:
            seconds = max(0.0, seconds - (monotonic() - lost.since))
        self.submit(lost.number, replace(lost.work, seconds=seconds))


class _Busy(NamedTuple):
    """A process, and the trial that it trains."""

    pool: ProcessPoolExecutor
    number: int
    work: Work
    since: float


def _end_with_parent() -> None:
    """Let this process end when the one that began it does, whatever ended that."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class OnRay:
    """Workers of a Ray cluster; they must reach the search's folder and the data under the same paths.

    Arguments:
        address: ``"ray://head:10001"``; ``"ray://local"`` starts one on this machine.
        workers: trials at a time.
    """

    def __init__(self, address: str, workers: int) -> None:
        self.workers = workers
        self._ray = import_extra("ray", extra="ray", purpose=f"--on {address}")
        self._address = None if address == "ray://local" else address
        self._running: dict[Any, tuple[int, Work]] = {}

    def __enter__(self) -> OnRay:
        self._ray.init(address=self._address, ignore_reinit_error=True, log_to_driver=False)
        self._remote = self._ray.remote(max_retries=_DEATHS - 1)(perform_text)
        return self

    def __exit__(self, *details: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference)
        self._ray.shutdown()

    @property
    def free(self) -> bool:
        """Whether another trial may be sent."""
        return len(self._running) < self.workers

    def submit(self, number: int, work: Work) -> None:
        """Send a trial."""
        reference = self._remote.remote(json.dumps(asdict(work), default=list))
        self._running[reference] = number, work

    def ended(self) -> Iterator[Ended]:
        """Wait for the first that ends."""
        done, _ = self._ray.wait(list(self._running), num_returns=1)
        for reference in done:
            number, _work = self._running.pop(reference)
            try:
                yield number, json.loads(self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                yield number, {"value": None, "status": "failed", "error": str(error).partition("\n")[0]}


def executor_for(on: str, workers: int, given: Given, together: int = 0) -> Executor:
    """Return what trains the trials.

    Raises:
        ConfigError: no such place, or blocks and data that other processes cannot be given.
        ExtraMissing: Ray is not installed.
    """
    if workers < 1:
        raise ConfigError("workers is not usable", expected="one or more", received=f"workers={workers}")
    if together > 1:
        if on != "local" or workers > 1:
            raise ConfigError(
                "trials are trained together in one process",
                expected="one worker on local",
                received=f"workers={workers}, on={on}",
            )
        return Together(given, together)
    if on == "local" and workers == 1:
        return Here(given)
    if not on.startswith("ray://") and on != "local":
        raise ConfigError("there is no such place", expected="local or ray://HOST:PORT", received=on)
    if not given.empty:
        what = ["data"] * (given.data is not None) + list(given.blocks)
        raise ConfigError(
            "what was given in code cannot be sent to other processes",
            expected="one worker, or data and blocks by name: a file, file.py:Name",
            received=", ".join(what),
        )
    return Processes(workers) if on == "local" else OnRay(on, workers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
