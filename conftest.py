"""One thread for each test process: the workers share the cores, and the programs that they start do too."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
