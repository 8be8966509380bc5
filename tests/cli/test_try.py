"""``preceptor run --try``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAST = Path(__file__).parents[2] / "docs" / "samples" / "fast.py"


@pytest.mark.slow
def test_what_helps_is_said_and_the_program_is_as_it_was(tmp_path) -> None:
    plain = subprocess.run([sys.executable, FAST], capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "preceptor", "run", "--try", "--json", tmp_path / "seen.json", FAST]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == plain.stdout
    assert "tried      lr 300 → 3" in done.stderr
    first = json.loads((tmp_path / "seen.json").read_text())["findings"][0]
    assert first["cause"] == "learning-rate-too-high"
    assert first["verification"]["improved"] is True
    assert first["verification"]["change"] == [{"kind": "lr", "action": "set", "before": 300.0, "after": 3.0}]
