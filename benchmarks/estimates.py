"""How well time and memory of a training are foretold: before it and after it, side by side.

    python benchmarks/estimates.py                 # everything; a few minutes on one core
    python benchmarks/estimates.py --only time
    python benchmarks/estimates.py --only memory --workload lstm

Each workload runs in two processes of its own, forked from this one: one foretells, as `preceptor check`
does, the other trains, as `preceptor.train` does, watch included. Time is CPU time on one thread, so that
other work on the machine does not count, in both. Memory is the most that the training process held
beyond what it held before, as the system tells (VmHWM of /proc/self/status), against data and peak as
foretold; interpreter and libraries, which are foretold by looking at them, are left out. The C library is
told to give back what was freed, as MALLOC_MMAP_THRESHOLD_=65536 does; --as-it-comes leaves it as it is.
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
from preceptor.run.examined.check import _begun, _raw
from preceptor.run.examined.diagnosis import Diagnosis
from preceptor.training import Experiment
from preceptor.training.build import Objects
from preceptor.training.inputs import Inputs

MIB = 1 << 20
GIVE_BACK = "--as-it-comes" not in sys.argv


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


def train(work: Workload) -> None:
    preceptor.train(
        work.model() if work.model else None, work.data(), experiment=work.experiment(), out=False,
        settings={"training.patience": "none"},
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

    preceptor.train(
        work.model() if work.model else None, work.data(), experiment=work.experiment(), out=False,
        callbacks=[Clock()], settings={"training.patience": "none"},
    )  # fmt: skip
    return {"taken": time.process_time() - seen[0]}


def foretold_memory(work: Workload) -> dict[str, Any]:
    begun = begin(work)
    found = estimated(
        begun.problem,
        begun.experiment.optimizer.name,
        begun.feeds.sample[0],
        base=0,
        raw=_raw(begun.prepared),
    )
    assert found is not None
    return {"foretold": found.total / MIB, "data": found.data / MIB}


def taken_memory(work: Workload) -> dict[str, Any]:
    if GIVE_BACK:
        ctypes.CDLL("libc.so.6").mallopt(-3, 65536)  # M_MMAP_THRESHOLD
    tiny = net(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    preceptor.train(tiny, pictures(40, 1, 4, 4, classes=2), epochs=2, out=False)  # pays for libraries
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    train(work)
    return {"taken": (_status("VmHWM") - before) / MIB}


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


def table(works: list[Workload], before: Any, after: Any, unit: str) -> list[float]:
    ratios = []
    print(f"{'workload':<30}{'foretold ' + unit:>14}{'taken ' + unit:>12}{'ratio':>8}")
    for work in works:
        found = {**apart(before, work), **apart(after, work)}
        if "foretold" not in found or "taken" not in found:
            continue
        ratios.append(found["foretold"] / found["taken"])
        print(
            f"{work.name:<30}{found['foretold']:>14.2f}{found['taken']:>12.2f}{ratios[-1]:>8.2f}", flush=True
        )
    within = sum(abs(ratio - 1) <= 0.2 for ratio in ratios)
    print(f"within 20 %: {within} of {len(ratios)}; median ratio {statistics.median(ratios):.2f}\n")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("time", "memory"))
    parser.add_argument("--workload", default="", help="only those whose name begins so")
    parser.add_argument("--as-it-comes", action="store_true", help="leave the C library's allocator alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for kind, works, before, after, unit in (
        ("time", TIMES, foretold_time, taken_time, "s"),
        ("memory", MEMORIES, foretold_memory, taken_memory, "MiB"),
    ):
        chosen = [work for work in works if work.name.startswith(options.workload)]
        if options.only in (None, kind) and chosen:
            table(chosen, before, after, unit)


if __name__ == "__main__":
    main()
