"""A part of what `benchmarks/faults.py` injects: a run goes on to the same numbers, or names the damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from preceptor.observation.observed import Observed

TOOL = Path(__file__).resolve().parents[1] / "benchmarks" / "faults.py"
KINDS = (
    "kill", "kill-at-call", "sigterm", "sigint", "disk-full", "read-only", "damaged-unfinished",
    "damaged-finished", "damaged-record", "damaged-search", "damaged-data", "clock", "nan", "memory",
    "second-process", "search", "watched", "record",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="its processes are forked")
def test_nothing_is_corrupted(tmp_path: Path) -> None:
    out = tmp_path / "faults.jsonl"
    done = subprocess.run(
        [sys.executable, str(TOOL), "--only", *KINDS, "--count", "3", "--json", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOOL.parent,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3 * len(KINDS)
    assert [row for row in rows if row["result"] == "corrupted"] == []
    kinds = {kind: {row["result"] for row in rows if row["kind"] == kind} for kind in KINDS}
    refused = {kind for kind, results in kinds.items() if "refused" in results}
    assert "damaged-finished" in refused
    assert all(kind.startswith("damaged") for kind in refused)
    assert "| all | 54 |" in done.stdout


PROGRAM = """
import signal, sys, torch
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
if "own" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
for step in range(10**6):
    optimizer.zero_grad()
    model(torch.ones(4, 3)).square().mean().backward()
    optimizer.step()
    if step == 20:
        print("ready", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("argument", "code"), [("", -signal.SIGTERM), ("own", 7)])
def test_a_watched_program_that_is_asked_to_end(tmp_path: Path, argument: str, code: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "preceptor", "run", "--record", "seen", "program.py", argument]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert "\nrecord   " in said
    assert Observed.load(tmp_path / "seen").steps["train"] > 20
