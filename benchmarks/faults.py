"""Faults on purpose: whatever happens, a run goes on to the same numbers, or says which file is damaged.

    python benchmarks/faults.py --json faults.jsonl              # all; a second call goes on where it was
    python benchmarks/faults.py --only kill disk-full --count 20
    python benchmarks/faults.py --table --json faults.jsonl      # the table again

Each injection has a folder and a seed of its own, by its kind and number. A run that a fault has ended is
gone on with, and its history and weights are compared with those of a run that nothing disturbed, bit by bit.
It has

    survived    it ends in the same numbers
    refused     a file is damaged: the error names it, and nothing of it is used
    corrupted   all else: it cannot be gone on with, it ends in other numbers, a change goes unnoticed, or an
                error is not one of ours

and beside that: how many optimizer steps were lost, and taken again. Real signals go to real processes, which
are forked; a failing disk fails at each call that changes a file, before it and half-way through. Checkpoints
are written every 5 steps.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import statistics
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _faults_damage as damage
import _faults_processes as processes
import _faults_torchrun as torchrun
from _faults_damage import Fault
from _faults_world import Outcome, World

KINDS: dict[str, tuple[str, int, Fault]] = {
    "kill": ("SIGKILL at a random moment of a training", 150, processes.killed),
    "kill-at-call": ("SIGKILL at a call that changes a file", 0, processes.killed_at_a_call),
    "sigterm": ("SIGTERM at a random moment", 60, processes.terminated),
    "sigint": ("SIGINT at a random moment", 60, processes.interrupted),
    "disk-full": ("disk full from a call on", 0, processes.full_disk),
    "read-only": ("disk read-only from a call on", 0, processes.read_only),
    "file-system": ("a real file system, full or read-only", 20, processes.own_file_system),
    "damaged-unfinished": ("a file of an unfinished run cut or flipped", 200, damage.damaged_unfinished),
    "damaged-finished": ("a file of a finished run cut or flipped", 250, damage.damaged_finished),
    "damaged-record": ("a file of a record cut or flipped", 150, damage.damaged_record),
    "damaged-search": ("plan or journal of a search cut or flipped", 60, damage.damaged_search),
    "damaged-data": ("data changed under an unfinished run", 60, damage.damaged_data),
    "clock": ("the clock jumps by up to ten years", 40, processes.jumping_clock),
    "nan": ("a batch is NaN", 30, damage.nan_batch),
    "memory": ("out of memory", 40, damage.too_little_memory),
    "second-process": ("a second process in the same folder", 20, processes.second_process),
    "search": ("SIGKILL, SIGTERM, SIGINT for a search", 45, processes.killed_search),
    "search-worker": ("SIGKILL for a worker of a search", 4, processes.lost_worker),
    "torchrun": ("SIGKILL for one of two processes of torchrun", 3, torchrun.lost_process),
    "watched": ("SIGKILL, SIGTERM, SIGINT for a watched program", 45, processes.watched_program),
    "record": ("SIGKILL or disk full while a record is written", 40, processes.written_record),
    "report": ("SIGKILL or disk full while a report is written", 12, processes.written_report),
}
"""What is injected: in words, how often (0: at every call that changes a file), and how."""


def inject(world: World, kind: str, index: int) -> Outcome:
    """Inject one fault in a folder of its own."""
    folder = world.place / f"{kind}-{index}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        outcome = KINDS[kind][2](world, index, random.Random(f"{kind} {index}"), folder)
    except Exception:  # noqa: BLE001 whatever it is, it counts
        outcome = Outcome("corrupted", 0, traceback.format_exc()[-600:])
    if outcome.result != "corrupted":
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def wanted(world: World, kind: str, count: int | None) -> int:
    """Return how many of a kind there are to be."""
    return count or KINDS[kind][1] or processes.calls_of_a_run(world)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the outcomes as Markdown, a line a kind."""
    head = "| fault | injected | survived | refused, file named | steps lost: median, most | corrupted |"
    lines = [head, "|---|---:|---:|---:|---:|---:|"]
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    for name, some in [(KINDS[k][0], [r for r in rows if r["kind"] == k]) for k in kinds] + [("all", rows)]:
        found = [
            [r for r in some if r["result"] == result] for result in ("survived", "refused", "corrupted")
        ]
        lost = [row["lost"] for row in found[0]]
        steps = f"{statistics.median(lost):g}, {max(lost)}" if any(lost) else "0"
        counts = " | ".join(str(len(one)) for one in found[:2])
        lines.append(f"| {name} | {sum(map(len, found))} | {counts} | {steps} | {len(found[2])} |")
    return "\n".join(lines)


def main() -> None:
    """Inject what is wanted, and print the table."""
    parser = argparse.ArgumentParser(description="Inject faults, and count what survives them.")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), help="kinds of faults")
    parser.add_argument("--count", type=int, help="how many of each kind")
    parser.add_argument(
        "--json", type=Path, help="a line for each injection; what stands there is not repeated"
    )
    parser.add_argument("--table", action="store_true", help="print the table alone")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave what was corrupted there")
    chosen = parser.parse_args()
    file = chosen.json.resolve() if chosen.json else None
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file and file.exists() else []
    if not chosen.table:
        memory = (
            "/dev/shm" if Path("/dev/shm").is_dir() else None
        )  # where writing through to a disk costs nothing
        place = (chosen.keep or Path(tempfile.mkdtemp(prefix="faults-", dir=memory))).resolve()
        world = World.create(place)
        done = {(row["kind"], row["index"]) for row in rows}
        for kind in chosen.only or KINDS:
            for index in range(wanted(world, kind, chosen.count)):
                if (kind, index) in done:
                    continue
                started = time.perf_counter()
                outcome = inject(world, kind, index)
                rows.append({"kind": kind, "index": index, **vars(outcome)})
                seconds = time.perf_counter() - started
                if outcome.result == "corrupted":
                    print(f"corrupted: {kind} {index} ({seconds:.1f} s): {outcome.note}", flush=True)
                if file:
                    with file.open("a") as out:
                        out.write(json.dumps(rows[-1]) + "\n")
        if not chosen.keep:
            shutil.rmtree(place)
    print(f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
