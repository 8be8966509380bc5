"""What holds for every test and every page: one thread a process, and nothing left compiled."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores, and what they start does too


@pytest.fixture(autouse=True)
def _nothing_stays_compiled() -> Iterator[None]:
    """Forget what a test has compiled: in a process that compiles, steps are not recorded."""
    yield
    frames = sys.modules.get("torch._dynamo.eval_frame")
    if getattr(frames, "cached_backends", None):
        sys.modules["torch"].compiler.reset()
