"""kill -9 at any moment: the run is readable, and its resume ends as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_fifty_kills_at_random_moments(tmp_path: Path) -> None:
    driver = Path(__file__).with_name("kill_driver.py")
    done = subprocess.run(
        [sys.executable, str(driver), str(tmp_path), "52", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert len(result["differences"]) >= 50, result
    assert set(result["differences"]) == {0.0}, result
    # The blows must have fallen all over the run, its beginning and its later steps alike.
    steps = result["steps_at_kill"]
    assert min(steps) <= 2
    assert max(steps) > 30
    assert len(set(steps)) > 10
