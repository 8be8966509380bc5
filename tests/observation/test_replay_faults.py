"""One step of every program of a corpus that knows nothing about us: its replay is exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).with_name("_capture_step.py")
MORE = pytest.mark.skipif(
    "PRECEPTOR_ALL_PROGRAMS" not in os.environ, reason="PRECEPTOR_ALL_PROGRAMS is unset"
)


@pytest.fixture(scope="module")
def programs(shared: Path) -> list[str]:
    found = sorted((shared / "faults").glob("*/*.py"))
    found = [path for path in found if path.stem in ("faulty", "fixed", "healthy")]
    if not found or not hasattr(os, "fork"):
        pytest.skip("no corpus beside this checkout, or a system without fork")
    return [str(path) for path in found]


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, pytest.param(0, marks=MORE), pytest.param(20, marks=MORE)])
def test_the_replay_of_a_step_gives_its_losses_to_the_last_bit(programs: list[str], first: int) -> None:
    results = captured(programs, first)
    assert [result["program"] for result in results] == programs
    failed = [result for result in results if not result["exact"]]
    assert all(result["reason"] for result in failed), failed
    assert len(failed) <= 0.05 * len(programs), failed


def captured(programs: list[str], first: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HARNESS), str(first), *programs],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
