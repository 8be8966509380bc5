"""One of two processes of torchrun is killed: the other one ends too, and the run goes on in two again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from _faults_world import Outcome, World, difference, numbers

_COMMAND = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "preceptor",
]
_TRAIN = (
    "train", "data.csv", "--target", "kind", "--epochs", "30", "--batch-size", "8",
    "--device", "cpu", "--no-test",
    *(part for setting in ("watch=false", "checkpoint_steps=5", "patience=none")
      for part in ("--set", f"training.{setting}")),
)  # fmt: skip
_LIMIT = 300


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_COMMAND, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, said = process.communicate(timeout=_LIMIT)
    return process.returncode, said.decode(errors="replace")[-300:]


def lost_process(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Kill one of the two once the run has its folder, at a random moment."""

    def undisturbed() -> Path:
        code, said = _ended(_start(*_TRAIN, "--out", "two"))
        if code:
            raise RuntimeError(said)
        return Path("two")

    whole = Path(world.once("two", undisturbed))
    process = _start(*_TRAIN, "--out", str(folder))
    while process.poll() is None and not (folder / "state" / "checkpoint.safetensors").exists():
        time.sleep(0.02)
    time.sleep(luck.uniform(0, 1.5))
    workers = _children(process.pid)
    if workers:
        os.kill(luck.choice(workers), signal.SIGKILL)
    started = time.monotonic()
    code, said = _ended(process)
    seconds = time.monotonic() - started
    over = code == 0
    try:
        code, said = _ended(_start("train", "--resume", str(folder), "--no-test"))
        told = said if code else difference(numbers(folder), numbers(whole))
    except (OSError, subprocess.SubprocessError) as error:
        told = str(error)
    note = f"{told} {'killed after its end' if over else f'the other ended {seconds:.1f} s later'}"
    return Outcome("corrupted" if told else "survived", 0, note)


def _children(parent: int) -> list[int]:
    """Return the processes that a process has started, without those that they have."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
