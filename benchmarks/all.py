"""Every benchmark against its peers in one run, as one table.

    python benchmarks/all.py --out speed                  # everything; an hour on one quiet core
    python benchmarks/all.py --out speed --short          # fewer rounds: a quarter of that
    python benchmarks/all.py --out speed --only loop --only growth
    python benchmarks/all.py --out speed --page docs/benchmarks.md --only ""    # writes the table again

Each part is a benchmark of its own, run in a process of its own, one after another; its figures are kept in
--out as JSON, and a part that is there already is not run again. The page gets the table between its marks.
A figure is a ratio within one part's run: "times as fast" is the peer's time over Preceptor's; "costs" is the
time with over the time without. Intervals are quartiles over the rounds, or, for watching, a standard error
on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin of the table -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    beside: str
    figure: float
    low: float | None = None
    high: float | None = None
    unit: str = "times as fast"
    goal: float | None = None
    least: bool = True  # the goal is a lower bound, else an upper one

    def cells(self) -> list[str]:
        spread = "–" if self.low is None or self.high is None else f"{self.low:.2f} – {self.high:.2f}"
        if self.goal is None:
            goal = "–"
        else:
            met = self.figure >= self.goal if self.least else self.figure <= self.goal
            goal = f"{'≥' if self.least else '≤'} {self.goal:g} {'✓' if met else '✗'}"
        return [self.what, self.beside, f"{self.figure:.2f} {self.unit}", spread, goal]


Found = dict[str, Any]


def loop(found: Found) -> Iterator[Row]:
    for name, rows in found["workloads"].items():
        own = rows["preceptor"]["to_plain"]
        yield Row(f"loop, {name}", "the best by hand", 1 / rows["preceptor"]["to_best_by_hand"])
        for peer, row in rows.items():
            if row["status"] == "measured" and peer in ("plain", "lightning", "keras", "skorch", "ignite"):
                yield Row(f"loop, {name}", peer, row["to_plain"]["cpu"] / own["cpu"])


def vision(found: Found) -> Iterator[Row]:
    for name, part in found["results"].items():
        kind, _, net = name.partition(": ")
        rows = part["rows"]
        own = rows["preceptor" if kind == "frameworks" else "measured"]["speed"]
        if kind == "precision":
            yield Row(f"--precision auto, {net}", "plain float32", own["cpu"], own["low"], own["high"])
            continue
        yield Row(f"images, {net}", "the best by hand", own["cpu"], own["low"], own["high"])
        for peer in ("lightning", "keras"):
            if peer in rows:
                yield Row(f"images, {net}", peer, own["cpu"] / rows[peer]["speed"]["cpu"])


def language(found: Found) -> Iterator[Row]:
    for net, rows in found.items():
        own = rows["preceptor"]["relative"]
        yield Row(f"text, {net}", "the best by hand", own["cpu"], own["low"], own["high"], goal=0.97)


def optimizers(found: Found) -> Iterator[Row]:
    for rule in ("sgd", "momentum", "adam", "adamw", "adagrad"):
        figure = 1 / found["first order"][rule]["mlp"]
        yield Row(f"a step of {rule}, MLP 784-256-128-10", "torch, foreach", figure)


def population(found: Found) -> Iterator[Row]:
    goals = {"small-32": 10, "small-128": 15, "mlp-8": 1, "lenet-32": 1.5}
    for task, rows in found.items():
        own, goal = rows["preceptor"], goals.get(task)
        yield Row(f"many, {task}", "one after another", own["times"], own["low"], own["high"], goal=goal)
        if "optuna" in rows:
            yield Row(f"many, {task}", "optuna", own["times"] / rows["optuna"]["times"])


def watch(found: Found) -> Iterator[Row]:
    programs = found["programs"]
    for level, goal in (("economy", 1.01), ("standard", 1.03)):
        steady = {name: one["levels"][level] for name, one in programs.items()}
        middle = statistics.median(one["steady"] for one in steady.values())
        yield Row(f"watching, {level}, median", "unwatched", middle, None, None, "costs", goal, least=False)
        for name, one in steady.items():
            low, high = one["steady"] - one["error"], one["steady"] + one["error"]
            yield Row(f"watching, {level}, {name}", "unwatched", one["steady"], low, high, "costs")


def startup(found: Found) -> Iterator[Row]:
    yield Row("preceptor --help", "the bare interpreter", found["seconds"], unit="s of CPU more")


def growth(found: Found) -> Iterator[Row]:
    for name, axis in found.items():
        last = axis["sizes"][-1]
        yield Row(f"{last['size']:,} {name}", "its peer", 1 / last["ratio"])
        slope = axis["exponent"]["preceptor"]
        yield Row(f"exponent of a unit's cost in {name}", "0: it does not grow", slope, unit="")


def limits(found: Found) -> Iterator[Row]:
    for net, one in found["nets"].items():
        yield Row(f"share of the machine's limit, {net}", "by hand", one["share_preceptor"], unit="of 1")
        yield Row(f"share by hand, {net}", "–", one["share_hand"], unit="of 1")


@dataclass(frozen=True)
class Part:
    """A benchmark: its options, those of the short form, and how its figures become rows."""

    rows: Callable[[Found], Iterator[Row]]
    long: tuple[str, ...] = ()
    short: tuple[str, ...] = ()


PARTS = {
    "startup": Part(startup),
    "loop": Part(loop, ("--rounds", "7"), ("--rounds", "3")),
    "vision": Part(vision, ("--rounds", "7"), ("--rounds", "2", "--epochs", "1")),
    "language": Part(language, ("--rounds", "15"), ("--rounds", "5", "--steps", "15")),
    "optimizers": Part(optimizers, ("--part", "first"), ("--part", "first", "--rounds", "2")),
    "population": Part(population, ("--rounds", "5"), ("--rounds", "2")),
    "watch": Part(
        watch,
        ("--seconds", "24", "--levels", "economy", "standard", "--anchors", "none", "--memory-of", "none"),
        ("--seconds", "4", "--levels", "economy", "standard", "--anchors", "none", "--memory-of", "none"),
    ),
    "growth": Part(growth, ("--rounds", "3"), ("--rounds", "1", "--largest", "30000")),
    "limits": Part(limits, ("--rounds", "3"), ("--rounds", "1")),
}


def machine() -> str:
    """Describe what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text(encoding="utf-8").splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    torch = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.__version__)"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} core{'s' * (cores > 1)} for this run, {memory:.0f} GB; "
        f"{platform.system()}, Python {platform.python_version()}, torch {torch}, one thread"
    )


def table(out: Path) -> str:
    """Return the table in Markdown, of the parts that have been run."""
    lines = [
        json.loads((out / "machine.json").read_text(encoding="utf-8")) + ".",
        "",
        "| what | beside | figure | interval | goal |",
        "|---|---|---|---|---|",
    ]
    for name, part in PARTS.items():
        file = out / f"{name}.json"
        if file.exists():
            rows = part.rows(json.loads(file.read_text(encoding="utf-8")))
            lines.extend("| " + " | ".join(row.cells()) + " |" for row in rows)
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put the table between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, found, behind = rest.partition(END)
    if not found:
        raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{behind}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--only", action="append", choices=[*PARTS, ""], help="repeatable; all by default")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--page", type=Path, help="write the table between this page's marks")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "machine.json").write_text(json.dumps(machine()), encoding="utf-8")
    for name in [name for name in given.only or PARTS if name]:
        file = given.out / f"{name}.json"
        if file.exists():
            print(f"{name}: there already")
            continue
        options = PARTS[name].short if given.short else PARTS[name].long
        print(f"{name}: {' '.join(options)}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *options, "--json", str(file)]
        if subprocess.run(command, check=False).returncode:
            print(f"{name} failed; the others go on", flush=True)
    text = table(given.out)
    print(text)
    if given.page:
        write(given.page, text)


if __name__ == "__main__":
    main()
