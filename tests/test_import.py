"""What importing the package does, and does not."""

from __future__ import annotations

import subprocess
import sys

_STATES = """
import numpy, torch
def states():
    return torch.get_rng_state().tolist(), repr(numpy.random.get_state())
before = states()
import preceptor
preceptor.train, preceptor.watch
assert states() == before
"""


def test_importing_draws_no_random_numbers() -> None:
    subprocess.run([sys.executable, "-c", _STATES], check=True)
