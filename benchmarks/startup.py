"""CPU time of ``preceptor --help`` beyond the interpreter's own, and whether torch was imported for it.

    python benchmarks/startup.py

The two commands take turns; a run's CPU time is what the system charged the finished process with.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

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
    pairs = [(cpu_seconds(HELP), cpu_seconds(BARE)) for _ in range(RUNS + 1)][1:]
    beyond = [own - bare for own, bare in pairs]
    probe = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    median = statistics.median(beyond)
    print(f"preceptor --help beyond the interpreter: {median:.3f} s of CPU (median of {RUNS})")
    print(f"torch imported for it: {probe.stdout.strip()}")


if __name__ == "__main__":
    main()
