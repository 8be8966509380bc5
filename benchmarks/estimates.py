"""How well time and memory of a training are foretold: before it and after it, side by side.

    python benchmarks/estimates.py                       # everything; a few minutes on one core
    python benchmarks/estimates.py --only time
    python benchmarks/estimates.py --only memory --workload lstm
    python benchmarks/estimates.py --json estimates.jsonl  # goes on where an earlier call ended

Each workload runs in processes of its own, forked from this one: one foretells, as `preceptor check` does,
others train, as `preceptor.train` does, watch included. Time is CPU time on one thread, so that other work on
the machine does not count, in both.

Memory is two quantities. Live is what is foretold: the most bytes of tensors that live at once in training,
weights included, data left out. It is taken from torch's allocator, whose every allocation and release its
profiler notes, and which also gives kernels their workspace; of weights, which are older, the size is known.
Resident is the most that the process held beyond what it held before training, as the system tells (VmHWM
of /proc/self/status), set against data and peak: it counts what the matrix library keeps for itself, code
that is loaded in training, and what the C library keeps of what was freed. --give-back tells that to keep
nothing, as MALLOC_MMAP_THRESHOLD_=65536 does.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import preceptor
from preceptor.data import generators
from preceptor.recipe.memory import estimated
from preceptor.recipe.timing import measured
from preceptor.run.examined.attend import Job
from preceptor.run.examined.check import _begun, _raw, watched_steps
from preceptor.run.examined.diagnosis import Diagnosis
from preceptor.training import Experiment
from preceptor.training.build import Objects
from preceptor.training.inputs import Inputs

MIB = 1 << 20
GIVE_BACK = "--give-back" in sys.argv


@dataclass(frozen=True)
class Workload:
    """One training.

    Arguments:
        name: for the table.
        data: made when it is needed.
        settings: by dotted key; those of early stopping are off.
        model: in code; None: by name, in the settings.
    """

    name: str
    data: Callable[[], Any]
    settings: dict[str, Any]
    model: Callable[[], nn.Module] | None = None

    def experiment(self) -> Experiment:
        return Experiment.of({"training.patience": "none", "data.test": 0.0, **self.settings})


def named(name: str) -> Callable[[], str]:
    return lambda: name


def rows() -> tuple[Tensor, Tensor]:
    """Digits as sequences of their rows."""
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32).reshape(-1, 8, 8) / 16, torch.tensor(y)


def pictures(count: int, *shape: int, classes: int = 10) -> tuple[Tensor, Tensor]:
    return torch.rand(count, *shape), torch.arange(count) % classes


def time_of(name: str, data: Callable[[], Any], epochs: int, **settings: Any) -> Workload:
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    return Workload(name, data, {"training.epochs": epochs, **keys})


def net(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def convolutional() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return net(*layers, nn.Flatten(), nn.Linear(64 * 64, 10))


TIMES = [
    time_of("mlp, iris", named("iris"), 60, model__name="mlp"),
    time_of("linear, wine", named("wine"), 60, model__name="linear"),
    time_of("mlp, breast cancer", named("breast_cancer"), 25, model__name="mlp"),
    time_of("mlp, diabetes", named("diabetes"), 40, model__name="mlp"),
    time_of("mlp, digits", named("digits"), 15, model__name="mlp"),
    time_of("mlp, digits, sgd", named("digits"), 20, model__name="mlp", optimizer__name="momentum"),
    time_of("mlp, digits, clipped", named("digits"), 12, model__name="mlp", training__max_grad_norm=1.0),
    time_of("mlp 512-512, digits", named("digits"), 8, model__name="mlp", model__hidden=[512, 512]),
    time_of("autoencoder, digits", named("digits"), 8, model__name="autoencoder", task="reconstruction"),
    time_of("convnet, digits", named("digits"), 3, model__name="convnet"),
    time_of("gru, rows of digits", rows, 4, model__name="gru"),
    time_of("lstm, rows of digits", rows, 4, model__name="lstm"),
    time_of("transformer, rows of digits", rows, 2, model__name="transformer"),
]
_SHORT = {"training.epochs": 1, "data.val": 0.0, "training.train_examples": 0}


def memory_of(name: str, data: Callable[[], Any], model: Any, batch: int, **settings: Any) -> Workload:
    keys = {**_SHORT, "training.batch_size": batch, **{k.replace("__", "."): v for k, v in settings.items()}}
    if isinstance(model, str):
        return Workload(name, data, {**keys, "model.name": model})
    return Workload(name, data, keys, model)


MEMORIES = [
    memory_of("mlp 2048-2048", partial(pictures, 1536, 784), "mlp", 512, model__hidden=[2048, 2048]),
    memory_of("mlp 2048-2048, sgd", partial(pictures, 1536, 784), "mlp", 512, model__hidden=[2048, 2048],
              optimizer__name="sgd"),
    memory_of("mlp 1024, batch 4096", partial(pictures, 8192, 256), "mlp", 4096, model__hidden=[1024, 1024]),
    memory_of("lenet-5", partial(pictures, 3072, 1, 28, 28), "lenet-5", 1024),
    memory_of("convolutions", partial(pictures, 384, 3, 32, 32), convolutional, 128),
    memory_of("convnet", partial(pictures, 384, 3, 32, 32), "convnet", 128),
    memory_of("resnet-20", partial(pictures, 192, 3, 32, 32), "resnet-20", 64),
    memory_of("autoencoder", partial(pictures, 4096, 1, 28, 28), "autoencoder", 2048, task="reconstruction"),
    memory_of("gru", partial(pictures, 768, 64, 64), "gru", 256),
    memory_of("lstm", partial(pictures, 768, 64, 64), "lstm", 256),
    memory_of("transformer", partial(pictures, 192, 64, 64), "transformer", 64),
    memory_of("tcn", partial(pictures, 384, 64, 64), "tcn", 128),
    memory_of("with measuring", partial(pictures, 4096, 784), "mlp", 256, model__hidden=[1024, 1024],
              data__val=0.25, training__train_examples=1000),
]  # fmt: skip


def begin(work: Workload) -> Any:
    """Return the training before its first step, as a check makes it."""
    objects = Objects(model=work.model() if work.model else None)
    data = work.data()
    experiment = work.experiment()
    if isinstance(data, str):
        experiment = experiment.changed({"data.source": data})
    inputs = Inputs(data, own_model=work.model is not None)
    return _begun(Job(experiment, inputs, objects, set(), False, (), None))


def train(work: Workload, *callbacks: preceptor.Callback) -> None:
    preceptor.train(
        work.model() if work.model else None, work.data(), experiment=work.experiment(), out=False,
        callbacks=callbacks, settings={"training.patience": "none"},
    )  # fmt: skip


def foretold_time(work: Workload) -> dict[str, Any]:
    begun = begin(work)
    with generators.seeded(0):
        found = measured(
            begun.problem, begun.experiment.training.epochs, seconds=1.5,
            callbacks=[Diagnosis(lambda finding: None)], now=time.process_time,
        )  # fmt: skip
    return {"foretold": found.total, "error": found.error, "bottleneck": found.bottleneck}


def taken_time(work: Workload) -> dict[str, Any]:
    """CPU seconds of the epochs: a callback looks at the clock when training begins and when it ends."""
    seen: list[float] = []

    class Clock(preceptor.Callback):
        order = -100

        def on_train_begin(self, state: Any) -> None:
            seen.append(time.process_time())

    train(work, Clock())
    return {"taken": time.process_time() - seen[0]}


def foretold_memory(work: Workload) -> dict[str, Any]:
    begun = begin(work)
    found = estimated(
        begun.problem,
        begun.experiment.optimizer.name,
        begun.feeds.sample[0],
        base=0,
        best=begun.experiment.training.restore_best,
        raw=_raw(begun.prepared),
        watched=watched_steps(begun),
    )
    assert found is not None
    return {"foretold": found.peak / MIB, "with data": found.total / MIB}


class Live(preceptor.Callback):
    """Hears of all that torch's allocator gives out and takes back, from the first step on."""

    order = -100

    def on_train_begin(self, state: Any) -> None:
        model = state.problem.model
        self.weights = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
        self.profile = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        )
        self.profile.start()

    def peak(self) -> int:
        """Return the most bytes that lived at once."""
        self.profile.stop()
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "trace.json"
            self.profile.export_chrome_trace(str(place))
            events = json.loads(place.read_text(encoding="utf-8"))["traceEvents"]
        totals = (event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]")
        return self.weights + max(totals)


def live_memory(work: Workload) -> dict[str, Any]:
    heard = Live()
    train(work, heard)
    return {"taken": heard.peak() / MIB}


def resident_memory(work: Workload) -> dict[str, Any]:
    if GIVE_BACK:
        ctypes.CDLL("libc.so.6").mallopt(-3, 65536)  # M_MMAP_THRESHOLD
    tiny = net(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    preceptor.train(tiny, pictures(40, 1, 4, 4, classes=2), epochs=2, out=False)  # pays for libraries
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    train(work)
    return {"resident": (_status("VmHWM") - before) / MIB}


def _status(what: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024


def apart(call: Callable[[Workload], dict[str, Any]], work: Workload) -> dict[str, Any]:
    """Return what a call returns in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "found.json"
        child = os.fork()
        if child == 0:
            try:
                warnings.simplefilter("ignore")
                place.write_text(json.dumps(call(work)), encoding="utf-8")
            except Exception as error:  # noqa: BLE001 - said, and the next one is measured
                print(f"{work.name}: {type(error).__name__}: {error}", flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


UNITS = {"time": "s", "memory": "MiB"}
PARTS: dict[str, tuple[Callable[[Workload], dict[str, Any]], ...]] = {
    "time": (foretold_time, taken_time),
    "memory": (foretold_memory, live_memory, resident_memory),
}


def measure(kind: str, work: Workload) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "workload": work.name}
    for part in PARTS[kind]:
        found |= apart(part, work)
    return found


def shown(row: dict[str, Any]) -> str:
    line = f"{row['workload']:<30}{row['foretold']:>12.2f}{row['taken']:>12.2f}"
    line += f"{row['foretold'] / row['taken']:>8.2f}"
    if "resident" in row:
        line += f"{row['with data']:>14.2f}{row['resident']:>12.2f}{row['with data'] / row['resident']:>8.2f}"
    return line


def table(kind: str, works: list[Workload], known: dict[tuple[str, str], Any], out: Path | None) -> None:
    unit, further = UNITS[kind], f"{'with data':>14}{'resident':>12}{'ratio':>8}" if kind == "memory" else ""
    print(f"{'workload':<30}{'foretold ' + unit:>12}{'taken ' + unit:>12}{'ratio':>8}{further}")
    ratios = []
    for work in works:
        row = known.get((kind, work.name)) or measure(kind, work)
        if "foretold" not in row or "taken" not in row:
            continue
        ratios.append(row["foretold"] / row["taken"])
        print(shown(row), flush=True)
        if out is not None and (kind, work.name) not in known:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    if ratios:
        within = sum(abs(ratio - 1) <= 0.2 for ratio in ratios)
        print(f"within 20 %: {within} of {len(ratios)}; median ratio {statistics.median(ratios):.2f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("time", "memory"))
    parser.add_argument("--workload", default="", help="only those whose name begins so")
    parser.add_argument(
        "--give-back", action="store_true", help="let the C library keep nothing that was freed"
    )
    parser.add_argument(
        "--json", type=Path, help="a line for each workload; those it has already are not run"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = {}
    if options.json is not None and options.json.exists():
        rows = map(json.loads, options.json.read_text(encoding="utf-8").splitlines())
        known = {(row["kind"], row["workload"]): row for row in rows}
    for kind, works in (("time", TIMES), ("memory", MEMORIES)):
        chosen = [work for work in works if work.name.startswith(options.workload)]
        if options.only in (None, kind) and chosen:
            table(kind, chosen, known, options.json)


if __name__ == "__main__":
    main()
