"""Faults that end a process, or that two of them make: kills, signals, failing disks, clocks, locks."""

from __future__ import annotations

import datetime
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import preceptor
from _faults_disk import failing
from _faults_world import (
    Outcome,
    Steps,
    World,
    code_of,
    difference,
    finished,
    fork,
    lost_of,
    numbers,
    searched,
    train,
    values,
    watched,
)
from preceptor.errors import PreceptorError, StorageError
from preceptor.observation.observed import Observed
from preceptor.training import RunFolder
from preceptor.training.callbacks import Callback
from preceptor.training.state import State


def ended_by(number: int, world: World, luck: random.Random, folder: Path) -> Outcome:
    """Train in a child, send it a signal at a random moment; in a third of the cases a second time."""
    lost = 0
    for again in range(2 if luck.random() < 0.3 else 1):
        steps = Steps()
        there = (folder / "manifest.json").exists()
        more: dict[str, Any] = {"resume": folder} if there else {"out": folder}
        pid = fork(lambda more=more, steps=steps: train(**more, callbacks=[steps]))  # type: ignore[misc]
        time.sleep(luck.uniform(0, world.seconds * 1.1))
        os.kill(pid, number)
        code = code_of(pid)
        if number == signal.SIGKILL:
            lost += lost_of(folder, steps)
        elif code not in (0, -number, 130, 2) and not again:
            return Outcome("corrupted", 0, f"exit code {code}")
        elif folder.exists():
            lost += lost_of(folder, steps)
    return finished(world, folder, lost)


def killed(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL at a random moment of a training."""
    return ended_by(signal.SIGKILL, world, luck, folder)


def terminated(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGTERM at a random moment of a training."""
    return ended_by(signal.SIGTERM, world, luck, folder)


def interrupted(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGINT at a random moment of a training."""
    return ended_by(signal.SIGINT, world, luck, folder)


def calls_of_a_run(world: World) -> int:
    """Return at how many places of a run the disk can fail."""

    def count() -> int:
        with failing("count", 0) as disk:
            train(world.place / "counted")
        shutil.rmtree(world.place / "counted")
        return disk.calls

    return int(world.once("calls", count))


def killed_at_a_call(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL at the call number ``index`` that changes a file, before it or in its middle."""
    steps = Steps()

    def act() -> None:
        with failing("kill", index % calls_of_a_run(world)):
            train(folder, callbacks=[steps])

    calls_of_a_run(world)
    code_of(fork(act))
    return finished(world, folder, lost_of(folder, steps))


def failing_disk(fault: str, world: World, index: int, folder: Path) -> Outcome:
    """Let the disk fail from a call on: the training ends with our error, and goes on on a sound one."""
    steps = Steps()
    try:
        with failing(fault, index % calls_of_a_run(world)):
            train(folder, callbacks=[steps])
    except PreceptorError:
        pass
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    return finished(world, folder, lost_of(folder, steps))


def full_disk(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let the disk be full from a call on."""
    return failing_disk("full", world, index, folder)


def read_only(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let the disk be read-only from a call on."""
    return failing_disk("read-only", world, index, folder)


def own_file_system(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Fill a real file system, or make it read-only, in mid-training."""
    full = index % 2 == 0
    folder.mkdir()
    size = luck.randrange(8, 120) if full else 4096
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size * 4}k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return Outcome("skipped", 0, "a file system of one's own takes root")
    other, steps = folder.with_name(f"{folder.name}-kept"), Steps()
    try:

        class Seal(Callback):
            """Makes the file system read-only after some steps."""

            def on_batch_end(self, state: State) -> None:
                """Make it so."""
                if state.step >= at:  # as long as a file is open to be written to, it is refused
                    subprocess.run(
                        ["mount", "-o", "remount,ro", str(folder)], capture_output=True, check=False
                    )

        at = luck.randrange(1, 40)
        with suppress(PreceptorError):
            train(folder / "run", callbacks=[steps, *([] if full else [Seal()])])
        subprocess.run(["mount", "-o", "remount,rw,size=8m", str(folder)], check=True)
        lost = lost_of(folder / "run", steps)
        if (folder / "run").exists():
            shutil.copytree(folder / "run", other)
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    outcome = finished(world, other, lost)
    shutil.rmtree(other, ignore_errors=True)
    return outcome


def jumping_clock(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let the clock on the wall jump back and forth by up to ten years, in training and in a search."""
    real, drawn = time.time, random.Random(luck.random())

    def jumping() -> float:
        return real() + drawn.choice((-1, 1)) * 10 ** drawn.uniform(0, 8.5)

    class Clock(datetime.datetime):
        """Tells such a time."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            """Return it."""
            return datetime.datetime.fromtimestamp(jumping(), tz)

    with ExitStack() as stack:
        stack.enter_context(mock.patch("time.time", jumping))
        stack.enter_context(mock.patch("preceptor.training.manifest.datetime", Clock))
        if index % 4:
            return finished(world, folder)
        reference = world.once("search", lambda: values(searched("search")))
        found = values(searched(folder, budget="10min"))
    return Outcome("survived" if found == reference else "corrupted")


def second_process(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """Let a second process train in the folder of a first, which must be refused, and not disturb that."""
    ready, wait = os.pipe(), os.pipe()

    class Halt(Callback):
        """Waits in mid-training until the other process was there."""

        def on_batch_end(self, state: State) -> None:
            """Wait."""
            if state.step == at:
                os.write(ready[1], b"x")
                os.read(wait[0], 1)

    at = luck.randrange(1, 60)
    pid = fork(lambda: train(folder, callbacks=[Halt()]))
    os.read(ready[0], 1)
    told = "it was let in"
    try:
        train(resume=folder)
    except StorageError as error:
        told = "" if "is in use" in str(error) and str(pid) in str(error) else str(error)
    finally:
        os.write(wait[1], b"x")
    code = code_of(pid)
    for end in (*ready, *wait):
        os.close(end)
    told = told or (f"exit code {code}" if code else difference(numbers(folder), numbers("whole")))
    return Outcome("corrupted" if told else "survived", 0, told)


def killed_search(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL, SIGTERM or SIGINT at a random moment of a search."""
    reference = world.once("search", lambda: values(searched("search")))

    def timed() -> float:
        started = time.perf_counter()
        searched(world.place / "timed")
        return time.perf_counter() - started

    seconds = world.once("search seconds", timed)
    pid = fork(lambda: searched(folder))
    time.sleep(luck.uniform(0, seconds))
    os.kill(pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[index % 3])
    code_of(pid)
    try:
        found = values(searched(folder))
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    return Outcome(
        "survived" if found == reference else "corrupted", 0, "" if found == reference else str(found)
    )


def lost_worker(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL for one of the two processes of a search, at a random moment."""
    reference = world.once("search", lambda: values(searched("search")))
    me = os.getpid()

    def blow() -> None:
        time.sleep(luck.uniform(2, 12))
        there = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/stat")
            if _parent(path) == me and b"spawn_main" in (path.parent / "cmdline").read_bytes()
        ]
        if there:
            os.kill(luck.choice(there), signal.SIGKILL)

    pid = fork(blow)
    try:
        found = values(searched(folder, workers=2))
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", 0, f"{type(error).__name__}: {error}"[:300])
    finally:
        code_of(pid)
    same = found == reference
    return Outcome("survived" if same else "corrupted", 0, "" if same else str(found)[:300])


def _parent(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


PROGRAM = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(60, 4), torch.randint(0, 3, (60,))
for _ in range(40):
    for at in range(0, 60, 10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[at : at + 10]), y[at : at + 10]).backward()
        optimizer.step()
"""


def watched_program(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL, SIGTERM or SIGINT at a random moment of ``preceptor run``: its record is whole, old or new."""
    from preceptor.cli import main

    Path("program.py").write_text(PROGRAM, encoding="utf-8")
    folder.mkdir()
    older = world.once("older", watched)
    older.save(folder / "record")

    def act() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main(["run", "--record", str(folder / "record"), "program.py"])

    def timed() -> float:
        started = time.perf_counter()
        code_of(fork(act))
        return time.perf_counter() - started

    seconds = world.once("program seconds", timed)
    pid = fork(act)
    time.sleep(luck.uniform(0, seconds))
    number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[index % 3]
    os.kill(pid, number)
    code = code_of(pid)
    try:
        seen = Observed.load(folder / "record")
    except PreceptorError as error:
        return Outcome("corrupted", 0, str(error)[:300])
    steps = seen.steps.get("train", 0)
    whole = steps == older.steps["train"] or bool(seen.protocol.to_plain())
    fits = code in (0, -number, 130, 1)
    return Outcome("survived" if whole and fits else "corrupted", 0, f"exit code {code}, {steps} steps kept")


def written_record(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL at a call of the writing of a record over an older one, or a full disk there."""
    older, newer = world.once("older", watched), world.once("newer", lambda: watched(5))
    older.save(folder)

    def count() -> int:
        with failing("count", 0) as disk:
            newer.save(folder)
        shutil.rmtree(folder)
        older.save(folder)
        return disk.calls

    calls = world.once("calls of a record", count)
    at = (index // 2) % calls

    def act() -> None:
        with failing("kill" if index % 2 else "full", at):
            newer.save(folder)

    if index % 2:
        code_of(fork(act))
    else:
        with suppress(PreceptorError):
            act()
    try:
        seen = Observed.load(folder)
    except PreceptorError as error:
        return Outcome("corrupted", 0, str(error)[:300])
    lengths = {len(one.record.signal("loss")) for one in (older, newer)}
    protocols = {"train": seen.steps.get("train")}
    whole = len(seen.record.signal("loss")) in lengths
    newer.save(folder)
    good = whole and Observed.load(folder).steps == newer.steps
    return Outcome("survived" if good else "corrupted", 0, f"{protocols}")


def written_report(world: World, index: int, luck: random.Random, folder: Path) -> Outcome:
    """SIGKILL or a full disk at a call of the writing of a report over an older one."""
    shutil.copytree("whole", folder)
    before = "an older report"
    (folder / "report.html").write_text(before, encoding="utf-8")
    run = world.once("loaded", lambda: preceptor.load("whole"))
    world.once("drawn", lambda: run.report("drawn.html"))

    def act(at: int, fault: str) -> None:
        with failing(fault, at):
            run.report(folder / "report.html")

    if index % 2:
        code_of(fork(lambda: act(index // 2 % 6, "kill")))
    else:
        with suppress(PreceptorError):
            act(index // 2 % 6, "full")
    text = (folder / "report.html").read_text(encoding="utf-8")
    good = text == before or text.rstrip().endswith("</html>")
    RunFolder(folder)
    return Outcome("survived" if good else "corrupted", 0, f"{len(text)} characters")
