"""What the faults fall upon: small runs of every kind, what they come to undisturbed, and how to compare."""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import preceptor
from preceptor.errors import PreceptorError
from preceptor.observation.observed import Observed
from preceptor.search import Search, tune
from preceptor.training import Checkpoints, RunFolder
from preceptor.training.state import State

SETTINGS: dict[str, Any] = {
    "model": "mlp", "target": "kind", "epochs": 8, "batch_size": 8, "seed": 3, "schedule": "cosine",
    "settings": {"model.hidden": [4], "model.dropout": 0.2, "training.checkpoint_steps": 5,
                 "training.max_grad_norm": 1.0, "training.watch": False},
}  # fmt: skip
HALT = 120  # seconds after which a child that hangs is ended, and counts as corrupted


class NoArrow:
    """Lets nobody import Arrow, whose allocator starts a thread: then no child could be forked."""

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse it, and leave all else to others."""
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        result: ``"survived"``: it goes on, and ends in the numbers of the undisturbed one, to the last bit;
            ``"refused"``: damage is named, with its file, and nothing of it used; ``"corrupted"``: all else.
        lost: optimizer steps that had to be taken again.
        note: what was seen.
    """

    result: str
    lost: int = 0
    note: str = ""


@dataclass
class World:
    """A folder with the data and with what the runs come to undisturbed.

    Attributes:
        place: the folder.
        seconds: that a run takes.
        made: what is made once, by name.
    """

    place: Path
    seconds: float = 0.0
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, place: Path) -> World:
        """Write the data, and train once undisturbed."""
        sys.meta_path.insert(0, NoArrow())  # type: ignore[arg-type]
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        place.mkdir(parents=True, exist_ok=True)
        os.chdir(place)
        luck = random.Random(0)
        rows = ["width,height,weight,kind"]
        for at in range(90):
            kind = at % 3
            values = (luck.gauss(kind, 1), luck.gauss(-kind, 1), luck.gauss(0, 1))
            rows.append(",".join(f"{value:.4f}" for value in values) + f",{'uvw'[kind]}")
        Path("data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        world = cls(place)
        if not Path("whole").exists():
            train("whole")
        started = time.perf_counter()
        train(False)
        world.seconds = time.perf_counter() - started
        threads = Path("/proc/self/task")
        assert not threads.is_dir() or len(list(threads.iterdir())) == 1, "forking takes one thread"
        return world

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what is made at the first call."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]


def train(out: Any = None, **more: Any) -> Any:
    """Train the small run, or let it go on."""
    if "resume" in more:
        return preceptor.train(**more)
    settings = {**SETTINGS["settings"], **more.pop("settings", {})}
    return preceptor.train(**{**SETTINGS, "data": "data.csv", **more, "settings": settings}, out=out)


def numbers(folder: Path | str) -> dict[str, Any]:
    """Return all numbers that a run has come to: history, both weights."""
    run = RunFolder(folder)
    return {
        "history": run.history.without("seconds", "micro_batch"),
        **{name: run.weights(name) for name in ("best", "last")},
    }


def difference(a: dict[str, Any], b: dict[str, Any]) -> str:
    """Return what differs; empty where nothing does, to the last bit."""
    if a["history"] != b["history"]:
        return "another history"
    for name in ("best", "last"):
        if a[name].keys() != b[name].keys() or not all(torch.equal(a[name][k], b[name][k]) for k in a[name]):
            return f"other {name} weights"
    return ""


def finished(world: World, folder: Path | str, lost: int = 0, **more: Any) -> Outcome:
    """Let a run go on to its end, and compare it with the undisturbed one; what is refused is corrupted."""
    try:
        if Path(folder).exists():
            train(resume=folder, **more)
        else:  # it was ended before there was anything to lose
            train(folder)
        told = difference(numbers(folder), world.once("whole", lambda: numbers("whole")))
    except Exception as error:  # noqa: BLE001
        return Outcome("corrupted", lost, f"{type(error).__name__}: {error}"[:300])
    return Outcome("corrupted" if told else "survived", lost, told)


def judged(error: Exception, *names: str) -> Outcome:
    """Return the outcome of damage that was met with an error: it has to be ours, and to name the file."""
    told = f"{type(error).__name__}: {error}"
    named = isinstance(error, PreceptorError) and any(name in told for name in names)
    return Outcome("refused" if named else "corrupted", 0, told[:300])


class Steps(preceptor.Callback):
    """Counts steps where a process that is killed cannot take them with it."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8)

    def on_batch_end(self, state: State) -> None:
        """Note the step."""
        self.memory[:8] = struct.pack("q", state.step)

    @property
    def reached(self) -> int:
        """The latest step."""
        return int(struct.unpack("q", self.memory[:8])[0])


def lost_of(folder: Path | str, steps: Steps) -> int:
    """Return how many of the steps that were taken are in no checkpoint."""
    checkpoints = Checkpoints(RunFolder(folder).state) if (Path(folder) / "manifest.json").exists() else None
    kept = checkpoints.load()["step"] if checkpoints and checkpoints.exist else 0
    return max(0, steps.reached - int(kept))


def fork(act: Callable[[], Any]) -> int:
    """Do something in a child, which leaves without cleaning up; return its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(HALT)
    code = 1
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        act()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except PreceptorError:
        code = 2
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def code_of(pid: int) -> int:
    """Wait for a child; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the C level of this process from talking."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def searched(folder: Path | str, **more: Any) -> Search:
    """Begin or go on with the small search."""
    given = {"space": {"lr": "log:1e-3..1"}, "trials": 4, "epochs": 3, "repeats": 0, "seed": 1}
    if (Path(folder) / "search.json").exists():
        return Search(folder).run(**more)
    settings = {"training.checkpoint_steps": 4}
    return tune(
        "mlp", "data.csv", target="kind", out=folder, settings=settings, batch_size=16, **given, **more
    )


def values(search: Search) -> list[Any]:
    """Return what the trials of a search were, and came to."""
    return [
        (json.dumps(t.settings, sort_keys=True), t.value, t.result and t.result.best_epoch)
        for t in search.trials
    ]


def watched(epochs: int = 3) -> Observed:
    """Return what a watch sees of a plain loop of torch."""
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(60, 4), torch.randint(0, 3, (60,))
    with preceptor.watch() as watch:
        for _ in range(epochs):
            for at in range(0, 60, 10):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[at : at + 10]), y[at : at + 10]).backward()
                optimizer.step()
    return watch.observed
