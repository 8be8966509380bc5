"""CPU time of ``preceptor --help`` beyond the interpreter's own, and whether torch was imported for it.

    python benchmarks/startup.py [--json startup.json]

The two commands take turns; a run's CPU time is what the system charged the finished process with.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 15
BARE = [sys.executable, "-c", "pass"]
HELP = [sys.executable, "-m", "preceptor", "--help"]
PROBE = "import sys, preceptor.cli; print('torch' in sys.modules)"


def cpu_seconds(command: list[str]) -> float:
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write both figures there")
    given = parser.parse_args()
    pairs = [(cpu_seconds(HELP), cpu_seconds(BARE)) for _ in range(RUNS + 1)][1:]
    beyond = [own - bare for own, bare in pairs]
    probe = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    median = statistics.median(beyond)
    print(f"preceptor --help beyond the interpreter: {median:.3f} s of CPU (median of {RUNS})")
    print(f"torch imported for it: {probe.stdout.strip()}")
    if given.json:
        found = {"seconds": median, "torch": probe.stdout.strip() == "True"}
        given.json.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
