"""What a watch costs: CPU time of training programs with it and without it.

    python benchmarks/watch.py                            # everything; some ten minutes on one core
    python benchmarks/watch.py --seconds 60               # steadier
    python benchmarks/watch.py --only mlp --levels standard --json watch.json
    python benchmarks/watch.py --anchors torchmortem --anchors torch-audit@10
    python benchmarks/watch.py --events                   # microseconds that a step costs between looks

Each program of `_watched.py` runs on one thread, and within one run the watch looks and looks away by turns
(`_toggled.py`): what the machine does else, and where memory happens to lie, which is several percent from
run to run, falls on both alike. Columns: milliseconds of CPU a step, unwatched; for each level the CPU time
of watched steps relative to the others, looks included, with its standard error; the same for a whole
training that takes a minute, its beginning included, when every call is heard and looks are frequent;
megabytes that record and graphs held at most.

Anchors are other tools, and torch's anomaly mode: they run in processes that take turns of a tenth of a
second on one core with an unwatched one (`_lockstep.py`). One that a program defeats is marked –.

Memory that is freed stays with the process (glibc's thresholds are set so): else chance decides how much of
it is given back and fetched again, which is up to a fifth of the time of one and the same program.

Then, for one program in processes of its own: the peak of resident memory, watched less unwatched.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _anchors import ANCHORS, available
from _lockstep import keep_memory, lockstep
from _measure import settled
from _toggled import toggled
from _watched import PROGRAMS
from preceptor.observation.watch import LEVELS, Watch

MEGABYTE = 1 << 20
NO_LOOKS = 1e-9  # a budget that affords no look beyond the early ones
EARLY_STEPS = 200  # more than the steps at which every watch looks


def steps_for(program: Callable[[int], float], seconds: float) -> int:
    """Return how many steps take so much CPU time."""
    program(3)
    steps = 5
    while True:
        start = time.process_time()
        program(steps)
        spent = time.process_time() - start
        if spent > min(0.3, seconds):
            return max(10, round(steps * seconds / spent))
        steps *= 3


def compare(name: str, levels: list[str], anchors: list[str], seconds: float) -> dict[str, Any]:
    """Time one program, watched at each level by turns, and under each anchor."""
    steps = steps_for(PROGRAMS[name], seconds)
    added = {level: toggled(name, level, seconds, seconds / steps) for level in levels}
    found: dict[str, float] = {}
    if anchors:
        fewer = max(10, steps // 6)
        said = lockstep(name, dict.fromkeys(("plain", *anchors), fewer))
        found = {anchor: said[anchor]["cpu"] / said["plain"]["cpu"] for anchor in anchors if anchor in said}
    return {
        "steps": steps,
        "ms_per_step": statistics.median(a.step for a in added.values()) * 1e3
        if added
        else seconds / steps * 1e3,
        "levels": {level: {**asdict(a), "minute": a.within(60.0)} for level, a in added.items()},
        "anchors": found,
    }


def events(level: str, rounds: int, seconds: float) -> dict[str, float]:
    """Return microseconds of CPU that the watch adds to a step between looks, with quartiles over the rounds.

    From a long run the cost of a short one that has all the early looks is subtracted, watched and unwatched.
    """
    program = PROGRAMS["tiny"]
    steps = steps_for(program, seconds)
    watched = partial(Watch, level, budget=NO_LOOKS)
    added = []
    for turn in range(rounds + 1):
        spent = [
            _cpu(program, EARLY_STEPS + more, within)
            for within in (nullcontext, watched)
            for more in (0, steps)
        ]
        if turn:
            added.append((spent[3] - spent[2] - (spent[1] - spent[0])) / steps * 1e6)
    low, middle, high = statistics.quantiles(added, n=4, method="inclusive") if rounds > 1 else added * 3
    return {"us_per_step": middle, "low": low, "high": high, "steps": steps}


def _cpu(program: Callable[[int], float], steps: int, within: Callable[[], Any]) -> float:
    with settled():
        start = time.process_time()
        with within():
            program(steps)
        return time.process_time() - start


def peak(name: str, level: str, steps: int) -> int:
    """Return the peak of resident memory of a process that runs a program, at a level or "plain"."""
    command = [sys.executable, __file__, "--peak-of", name, level, str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def _own_peak(name: str, level: str, steps: int) -> int:
    with nullcontext() if level == "plain" else Watch(level):
        PROGRAMS[name](steps)
    # Not getrusage: its figure begins with what the parent held when it started this process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def show(name: str, report: dict[str, Any], columns: list[str]) -> None:
    cells = [f"{report['ms_per_step']:>9.2f}"]
    for column in columns:
        if found := report["levels"].get(column):
            cells.append(f"{found['steady']:>10.3f} ± {found['error']:.3f}{found['minute']:>9.3f}")
        else:
            ratio = report["anchors"].get(column)
            cells.append(f"{f'{ratio:.2f}' if ratio else '–':>18}")
    held = max((level["held"] for level in report["levels"].values()), default=0)
    print(f"{name:<13}" + "".join(cells) + f"{held / MEGABYTE:>9.1f}", flush=True)


def show_median(reports: dict[str, dict[str, Any]], columns: list[str]) -> None:
    cells = []
    for column in columns:
        levels = [r["levels"][column] for r in reports.values() if column in r["levels"]]
        ratios = [r["anchors"][column] for r in reports.values() if column in r["anchors"]]
        if levels:
            steady, minute = (
                statistics.median(level[key] for level in levels) for key in ("steady", "minute")
            )
            cells.append(f"{steady:>10.3f}{'':>8}{minute:>9.3f}")
        else:
            cells.append(f"{f'{statistics.median(ratios):.2f}' if ratios else '–':>18}")
    print(f"{'median':<13}{'':>9}" + "".join(cells), flush=True)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < 3600:
        raise argparse.ArgumentTypeError(f"expected seconds between 0 and 3600, got {text}")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", action="append", choices=PROGRAMS, help="repeatable; all programs by default"
    )
    parser.add_argument("--levels", nargs="*", choices=LEVELS, default=list(LEVELS), help="all by default")
    parser.add_argument(
        "--anchors", action="append", choices=[*ANCHORS, "none"], help="repeatable; anomaly-mode by default"
    )
    parser.add_argument("--rounds", type=_count, default=5, help="of --events (5)")
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="of CPU, for each level (20)")
    parser.add_argument(
        "--memory-of", choices=[*PROGRAMS, "none"], default="mlp", help="peak memory of (mlp)"
    )
    parser.add_argument("--events", action="store_true", help="only the cost of a step between looks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--peak-of", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    keep_memory()
    if arguments.peak_of:
        name, level, steps = arguments.peak_of
        print(_own_peak(name, level, int(steps)))
        return
    rounds, seconds = arguments.rounds, arguments.seconds
    print(f"torch {torch.__version__}, 1 thread, {seconds:g} s")
    document: dict[str, Any] = {
        "settings": {"rounds": rounds, "seconds": seconds, "threads": 1},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
    }
    document |= _measure_events(arguments) if arguments.events else _measure_programs(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _measure_events(arguments: argparse.Namespace) -> dict[str, Any]:
    found = {}
    for level in arguments.levels:
        found[level] = e = events(level, arguments.rounds, arguments.seconds)
        spread = f"({e['low']:.1f}–{e['high']:.1f})"
        print(f"{level:<10}{e['us_per_step']:7.1f} µs a step between looks {spread}", flush=True)
    return {"events": found}


def _measure_programs(arguments: argparse.Namespace) -> dict[str, Any]:
    asked = [a for a in arguments.anchors or ["anomaly-mode"] if a != "none"]
    anchors = [a for a in asked if available(a)]
    for anchor in asked:
        if anchor not in anchors:
            print(f"{anchor} is not installed")
    columns = [*arguments.levels, *anchors]
    heads = [f"{f'{c}, a minute':>27}" if c in arguments.levels else f"{c:>18}" for c in columns]
    print(f"{'':<13}{'ms/step':>9}" + "".join(heads) + f"{'held MB':>9}", flush=True)
    reports = {}
    for name in arguments.only or PROGRAMS:
        reports[name] = compare(name, arguments.levels, anchors, arguments.seconds)
        show(name, reports[name], columns)
    if len(reports) > 1:
        show_median(reports, columns)
    return {"programs": reports, "peaks": _measure_peaks(arguments)}


def _measure_peaks(arguments: argparse.Namespace) -> dict[str, Any]:
    name = arguments.memory_of
    if name == "none" or not Path("/proc/self/status").exists():
        return {}
    steps = steps_for(PROGRAMS[name], arguments.seconds)
    peaks = {
        level: statistics.median(peak(name, level, steps) for _ in range(3))
        for level in ("plain", *arguments.levels)
    }
    plain = peaks["plain"] / MEGABYTE
    added = ", ".join(f"{n} {peaks[n] / MEGABYTE - plain:+.1f}" for n in arguments.levels)
    print(f"peak resident memory of {name}, {steps} steps: {plain:.0f} MB unwatched; {added} MB")
    return {"program": name, "steps": steps, "bytes": peaks}


if __name__ == "__main__":
    main()
