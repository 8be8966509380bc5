"""Running several labs, one after another or in processes of their own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager

import torch

from preceptor.errors import ProcessFailed
from preceptor.labs._checks import Verdict
from preceptor.labs._lab import Evidence, Lab, Setup, find
from preceptor.labs._results import Result, perform

__all__ = ["perform_all"]

Failed = Callable[[Lab, Exception], None]


def perform_all(
    chosen: Sequence[Lab],
    setup: Setup,
    jobs: int = 1,
    tell: Callable[[Result], None] | None = None,
    begin: Callable[[Lab], None] | None = None,
    failed: Failed | None = None,
) -> list[Result]:
    """Run several labs, ``jobs`` at a time in processes of their own; results in the order of the labs.

    Arguments:
        chosen: which.
        setup: how each is run.
        jobs: so many at a time; 1: in this process.
        tell: hears of each result as soon as it is there.
        begin: hears of each lab as it begins; in processes of their own, of all at once.
        failed: hears of each lab that could not be run, and the others go on; None: the first error ends all.

    Raises:
        ProcessFailed: one of the processes died.
    """
    begin = begin or _nothing
    if jobs == 1 or len(chosen) == 1:
        found = {}
        for one in chosen:
            begin(one)
            with _going_on(one, failed):
                found[one.name] = perform(one, setup)
            if tell and one.name in found:
                tell(found[one.name])
    else:
        for one in chosen:
            begin(one)
        found = _apart(chosen, setup, jobs, tell or _nothing, failed)
    return [found[one.name] for one in chosen if one.name in found]


def _nothing(_: object) -> None:
    pass


@contextmanager
def _going_on(one: Lab, failed: Failed | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if failed is None or isinstance(error, BrokenExecutor):
            raise
        failed(one, error)


def _apart(
    chosen: Sequence[Lab], setup: Setup, jobs: int, tell: Callable[[Result], None], failed: Failed | None
) -> dict[str, Result]:
    from multiprocessing import active_children, get_context

    others = set(active_children())
    found: dict[str, Result] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_alone) as pool:
        waiting = {pool.submit(_named, one.name, setup): one for one in chosen}
        try:
            for future in as_completed(waiting):
                one = waiting[future]
                with _going_on(one, failed):
                    evidence, verdicts, seconds = future.result()
                    found[one.name] = Result(one, setup, evidence, verdicts, seconds)
                if one.name in found:
                    tell(found[one.name])
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(active_children()) - others:
                child.terminate()
            if isinstance(error, BrokenExecutor):
                raise ProcessFailed(
                    "a process that ran a lab died",
                    received=str(error),
                    hint="--jobs 1 shows which; memory may have run out",
                ) from error
            raise
    return found


def _alone() -> None:
    """Begin a process: one thread each, and an interruption ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)


def _named(name: str, setup: Setup) -> tuple[Evidence, Mapping[str, Verdict], float]:
    result = perform(find(name), setup)
    return result.evidence, result.verdicts, result.seconds
