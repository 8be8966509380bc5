"""Trains, kills itself at random moments with SIGKILL, resumes, and prints what came of it as JSON.

A program of its own, run by the test beside it: it forks children that have torch imported already, which
only a process without threads may do. Arrow is kept out: its allocator starts one.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import preceptor
from preceptor.training import Checkpoints, RunFolder

SETTINGS = {
    "model": "mlp", "data": "digits", "epochs": 3, "batch_size": 64, "seed": 3, "schedule": "cosine",
    "settings": {
        "model.dropout": 0.2, "model.hidden": [32],
        "training.checkpoint_steps": 2, "training.max_grad_norm": 1.0,
    },
}  # fmt: skip


class NoArrow:
    """Lets nobody import Arrow."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse it, and leave all else to others."""
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)


def child(folder: Path, *, resume: bool) -> int:
    """Fork a training and return its process id; it leaves without cleaning up, as a process does."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(300)  # whatever hangs ends, and counts as failed
    code = 1
    try:
        preceptor.train(**SETTINGS, out=folder, resume=resume)  # type: ignore[arg-type]
        code = 0
    finally:
        os._exit(code)


def finished(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def killed(folder: Path, after: float, *, resume: bool) -> bool:
    """Begin or resume a training and kill it; say whether the blow came before its end."""
    pid = child(folder, resume=resume)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def difference(a: Path, b: Path) -> float:
    """Largest difference between the weights of two runs; infinite where their histories differ."""
    histories = [RunFolder(p).history.without("seconds") for p in (a, b)]
    if histories[0] != histories[1]:
        return float("inf")
    pairs = [
        (load_file(a / "weights" / f), load_file(b / "weights" / f))
        for f in ("best.safetensors", "last.safetensors")
    ]
    return max(float((u[k] - v[k]).abs().max()) for u, v in pairs for k in u)


def main() -> None:
    where, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    luck = random.Random(seed)
    sys.meta_path.insert(0, NoArrow())  # type: ignore[arg-type]
    preceptor.train(**SETTINGS, out=False)  # type: ignore[arg-type]  # the children find everything imported
    threads = Path("/proc/self/task")
    assert not threads.is_dir() or len(list(threads.iterdir())) == 1, "forking takes a process of one thread"
    started = time.perf_counter()
    assert finished(child(where / "whole", resume=False))
    duration = time.perf_counter() - started
    results: dict[str, list[float]] = {"differences": [], "steps_at_kill": []}
    done = unborn = 0
    while done < kills:
        folder = where / f"run-{done}"
        if not killed(folder, luck.uniform(0, duration), resume=False):
            shutil.rmtree(folder)
            continue
        if not folder.exists():  # killed before there was a run to lose
            unborn += 1
            continue
        done += 1
        if luck.random() < 0.3:
            killed(folder, luck.uniform(0, duration), resume=True)
        checkpoint = folder / "state" / "checkpoint.safetensors"
        step = Checkpoints(checkpoint).load()["step"] if checkpoint.exists() else -1
        results["steps_at_kill"].append(step)
        if not finished(child(folder, resume=True)):
            results["differences"].append(float("nan"))
            continue
        results["differences"].append(difference(where / "whole", folder))
        shutil.rmtree(folder)
    print(json.dumps({**results, "kills": done, "unborn": unborn, "seconds": duration}))


if __name__ == "__main__":
    main()
