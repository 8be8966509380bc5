"""The same program in several processes that take turns on one core, a tenth of a second each.

What else the machine does falls on all of them alike, however it changes from second to second.

    python benchmarks/_lockstep.py mlp anomaly-mode 1000     # one such process, on its own
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

__all__ = ["keep_memory", "lockstep"]

SLICE = 0.1  # seconds


def lockstep(name: str, steps: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Run a program once per column, in turns; return what each process said, columns that failed left out.

    Arguments:
        name: a program of `_watched.PROGRAMS`.
        steps: for each column ("plain" or an anchor) the number of its steps.
    """
    core = {min(os.sched_getaffinity(0))}
    processes = {column: _started(name, column, count, core) for column, count in steps.items()}
    running = [process for process in processes.values() if _is_stopped(process)]
    while running:
        for process in list(running):
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(SLICE)
            os.kill(process.pid, signal.SIGSTOP)
            if _is_over(process):
                running.remove(process)
    said = {column: process.communicate()[0] for column, process in processes.items()}
    return {column: json.loads(text.splitlines()[-1]) for column, text in said.items() if text.strip()}


def _started(name: str, column: str, steps: int, core: set[int]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__, name, column, str(steps)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    os.sched_setaffinity(process.pid, core)
    return process


def _is_stopped(process: subprocess.Popen[str]) -> bool:
    """Wait until it stopped itself, ready to begin; False where it ended before."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    return os.WIFSTOPPED(status)


def _is_over(process: subprocess.Popen[str]) -> bool:
    pid, status = os.waitpid(process.pid, os.WUNTRACED)
    return pid == process.pid and not os.WIFSTOPPED(status)


def keep_memory() -> None:
    """Let malloc neither give freed memory back nor map large blocks apart, where there is glibc."""
    import ctypes

    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            library.mallopt(parameter, 1 << 30)


def alone(name: str, column: str, steps: int) -> dict[str, Any]:
    """Warm up, stop until the parent goes on, run; return CPU seconds."""
    import torch

    from _anchors import ANCHORS
    from _measure import settled
    from _watched import PROGRAMS

    torch.set_num_threads(1)
    keep_memory()
    program, within = PROGRAMS[name], nullcontext if column == "plain" else ANCHORS[column][1]
    with within():
        program(max(5, steps // 10))
    os.kill(os.getpid(), signal.SIGSTOP)
    with settled():
        start = time.process_time()
        with within():
            program(steps)
        spent = time.process_time() - start
    return {"cpu": spent, "steps": steps}


if __name__ == "__main__":
    print(json.dumps(alone(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
