"""What much work costs: long records, many runs, deep networks, large tables, long watches.

    python benchmarks/load.py                          # everything, scaled down; some minutes on one core
    python benchmarks/load.py --only record --steps 1000000
    python benchmarks/load.py --only runs --runs 10000
    python benchmarks/load.py --only layers --layers 1000
    python benchmarks/load.py --only rows --rows 500000,1000000,2000000
    python benchmarks/load.py --only watch --steps 1000000 --json load.jsonl

Each part runs in a process of its own, forked from this one. Time is CPU time, so that other work on the
machine does not count; memory is the most that the process held (VmHWM), or, of the watch, what it holds
after each tenth of the steps (VmRSS).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import preceptor
from preceptor.data import load

Row = dict[str, Any]


def held(what: str = "VmRSS") -> float:
    """Return how many megabytes this process holds, or, as VmHWM, the most that it held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def timed(row: Row, name: str, act: Callable[[], Any]) -> Any:
    """Note the CPU seconds of an act."""
    began = time.process_time()
    found = act()
    row[name] = round(time.process_time() - began, 3)
    return found


def record(place: Path, steps: int) -> Iterator[Row]:
    """A record of so many steps: written, read, diagnosed, shown."""
    from preceptor.observation import Protocol, Record
    from preceptor.observation.observed import Observed
    from preceptor.report.watch import watch_html

    seen, row = Record(), {"part": "record", "steps": steps}
    names = [f"layer{i}.weight" for i in range(8)]
    values = np.random.default_rng(0).lognormal(size=(1000, 8)).tolist()

    def fill() -> None:
        for step in range(steps):
            seen.add("loss", step, 2.0 / (1 + step / 1e4), "train")
            seen.add_many("grad_norm", step, names, values[step % 1000])

    timed(row, "add", fill)
    observed = Observed(seen, Protocol(), steps={"train": steps})
    timed(row, "write", lambda: observed.save(place))
    row["bytes"] = sum(file.stat().st_size for file in place.iterdir())
    again = timed(row, "read", lambda: Observed.load(place))
    timed(row, "diagnose", lambda: preceptor.diagnose(place))
    page = timed(row, "report", lambda: watch_html({}, again.record, again.graphs, title="a"))
    row["report_bytes"] = len(page.encode())
    yield {**row, "MB": round(held("VmHWM"))}


def runs(place: Path, count: int) -> Iterator[Row]:
    """So many runs in a folder: found, listed by the server, compared."""
    from preceptor.report.compare import compare
    from preceptor.report.live import find_run, find_runs, list_page, look_at, run_page
    from preceptor.training import RunFolder

    first = place / "runs" / "a-0"
    preceptor.train("linear", "iris", epochs=2, out=first, settings={"training.watch": False})
    for number in range(1, count):
        folder = place / "runs" / f"a-{number}"
        folder.mkdir()
        for name in ("experiment.toml", "history.csv", "manifest.json", "preprocessing.json"):
            os.link(first / name, folder / name)
    row: Row = {"part": "runs", "runs": count}
    folder = place / "runs"
    timed(row, "found", lambda: find_runs(folder))
    page = timed(row, "first page", lambda: list_page(folder))
    timed(row, "next page", lambda: list_page(folder, start=100))
    timed(row, "page again", lambda: list_page(folder))
    row["page_bytes"] = len(page.encode())
    path = find_run(folder, "a-1")
    timed(row, "one run", lambda: run_page(look_at("a-1", path)))  # type: ignore[arg-type]
    some = [RunFolder(folder / f"a-{number}") for number in range(min(count, 1000))]
    timed(row, f"compare {len(some)}", lambda: compare(some))
    yield {**row, "MB": round(held("VmHWM"))}


def layers(place: Path, count: int) -> Iterator[Row]:
    """A network of so many layers: watched, recorded, diagnosed, shown."""
    from preceptor.observation.observed import Observed
    from preceptor.report.watch import watch_html

    torch.manual_seed(0)
    hidden = (part for _ in range(count // 2) for part in (nn.Linear(8, 8), nn.ReLU()))
    model = nn.Sequential(*hidden, nn.Linear(8, 2))
    row: Row = {"part": "layers", "layers": count}
    timed(row, "5 steps unwatched", lambda: _steps(model, 5))
    with preceptor.watch() as watch:
        timed(row, "20 steps watched", lambda: _steps(model, 20))
    timed(row, "write", lambda: watch.observed.save(place / "record"))
    timed(row, "diagnose", lambda: preceptor.diagnose(place / "record"))
    seen = timed(row, "read", lambda: Observed.load(place / "record"))
    row["bytes"] = sum(file.stat().st_size for file in (place / "record").iterdir())
    page = timed(row, "report", lambda: watch_html({}, seen.record, seen.graphs, title="a"))
    row["report_bytes"] = len(page.encode())
    yield {**row, "MB": round(held("VmHWM"))}


def _steps(model: nn.Module, count: int, each: Callable[[int], None] = lambda step: None) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = torch.randn(4, 8), torch.zeros(4, dtype=torch.int64)
    for step in range(count):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        each(step)


def rows(place: Path, count: int) -> Iterator[Row]:
    """A table of so many rows: written, then read with a target."""
    path = place / "a.csv"
    block = np.random.default_rng(0).normal(size=(100_000, 8))
    text = (
        "\n".join(",".join(f"{v:.4f}" for v in line) + f",{'ab'[int(line[0] > 0)]}" for line in block) + "\n"
    )
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(f"x{i}" for i in range(8)) + ",y\n")
        for _ in range(count // len(block)):
            file.write(text)
    del text, block
    size = round(path.stat().st_size / 1e6)
    row: Row = {"part": "rows", "rows": count, "file_MB": size, "before_MB": round(held())}
    timed(row, "read", lambda: load(path, target="y"))
    yield {**row, "MB": round(held("VmHWM"))}


def watch(place: Path, steps: int) -> Iterator[Row]:
    """A watch over so many steps: what the process holds after each tenth of them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    at: list[Row] = []

    def each(step: int) -> None:
        if (step + 1) % max(1, steps // 10) == 0:
            seconds = round(time.process_time(), 1)
            at.append({"part": "watch", "step": step + 1, "MB": round(held(), 1), "seconds": seconds})
            print(at[-1], flush=True)

    with preceptor.watch() as watching:
        _steps(model, steps, each)
    watching.observed.save(place / "record")
    yield from at
    yield {"part": "watch", "bytes": sum(file.stat().st_size for file in (place / "record").iterdir())}


def apart(part: Callable[[Path], Iterator[Row]], out: Path | None) -> None:
    """Do one part in a process of its own; print what it measures, and add it to a file."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    place = Path(tempfile.mkdtemp(prefix="preceptor-load-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in part(place):
                print(json.dumps(row), flush=True)
                if out is not None:
                    with out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os._exit(0)


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--only", choices=("record", "runs", "layers", "rows", "watch"))
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--rows", default="100000,200000,400000")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    parts: dict[str, list[Callable[[Path], Iterator[Row]]]] = {
        "record": [partial(record, steps=given.steps)],
        "runs": [partial(runs, count=given.runs)],
        "layers": [partial(layers, count=given.layers)],
        "rows": [partial(rows, count=int(count)) for count in given.rows.split(",")],
        "watch": [partial(watch, steps=given.steps)],
    }
    for name, acts in parts.items():
        if given.only in (None, name):
            for act in acts:
                apart(act, given.json)


if __name__ == "__main__":
    main()
